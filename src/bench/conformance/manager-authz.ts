/**
 * AuthorizationPolicy as Istio compiles it for Envoy. The goldens are read as decision tables: both
 * they, in a small interpreter of RBAC, and our evaluator are asked about the same requests, and
 * have to agree about who is let in, who would be by a dry run, and who is asked besides.
 */
import { readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import {
  AuthorizationPolicy_Action as Action,
  type AuthorizationPolicy,
} from "../../api/gen/mesh/v1/access_pb.ts";
import { isError } from "../../core/problem.ts";
import { seededRandom } from "../../core/random.ts";
import { readDocuments } from "../../dialect/read.ts";
import { accessOf } from "../../manager/translate/access.ts";
import { accessSetOf } from "../../manager/translate/access-set.ts";
import type { Authorizer } from "../../policy/authorization/authorizer.ts";
import { compileAuthorization } from "../../policy/authorization/compile-authorization.ts";
import type { AuthorizationFacts } from "../../policy/authorization/facts.ts";
import { factsSample } from "../../testing/access-sample.ts";
import { AuthzRequests, type GeneratedRequest } from "./authz-requests.ts";
import { type Json, matchingPolicy, type RbacRequest } from "./rbac-reference.ts";
import { type Suite, Verdicts } from "./suite.ts";

interface Case {
  readonly name: string;
  readonly in: string;
  readonly out: Readonly<Record<string, string>>;
}

const REQUESTS = 1_000;
const UNSHOWN =
  "departs: a connection that cannot be shown to an authorizer is refused, not let in";
const SEED = 7;

/** The cases' own settings of the mesh, which the vectors do not tell. */
const trustDomains: Readonly<Record<string, readonly string[]>> = {
  "http/simple-policy-multiple-td-aliases": ["td1", "cluster.local", "some-td"],
  "http/simple-policy-td-aliases": ["td1", "cluster.local"],
  "http/td-aliases-source-principal": ["some-td", "some-trustdomain"],
};

const node = {
  ...{ service: "httpbin.foo.svc.cluster.local", namespace: "foo" },
  labels: { app: "httpbin", version: "v1" },
};

export const authzSuites: readonly Suite[] = [
  {
    file: "manager/authz/istio-master_authz_builder.json",
    async run(path) {
      const { cases, other_files: others } = JSON.parse(readFileSync(path, "utf8"));
      const verdicts = new Verdicts();
      for (const one of cases as readonly Case[]) {
        if (asksNobody(one)) {
          verdicts.skip(one.name, UNSHOWN);
          continue;
        }
        verdicts.judge(one.name, judge(one, Object.values(one.out)));
        const extended = extendedOf(one.name, others);
        if (extended.length > 0) verdicts.judge(`${one.name}, extended`, judge(one, extended));
      }
      return verdicts.result();
    },
  },
];

/** Istio leaves CUSTOM out where the provider speaks HTTP and there are no requests. */
function asksNobody({ name, in: input, out }: Case): boolean {
  if (!name.startsWith("tcp/") || !/^ *action: CUSTOM$/m.test(input)) return false;
  return providersOf(Object.values(out).flatMap(filtersOf)).size === 0;
}

/** The same policies in the form of a later generator. */
function extendedOf(name: string, files: Readonly<Record<string, string>>): readonly string[] {
  const [kind, short = ""] = name.split("/");
  const pattern = new RegExp(`^${kind}/extended-${RegExp.escape(short)}-out\\d*\\.yaml$`);
  return Object.entries(files).flatMap(([file, text]) => (pattern.test(file) ? [text] : []));
}

function judge({ name, in: input }: Case, goldens: readonly string[]): string | undefined {
  const isTcp = name.startsWith("tcp/");
  const filters = goldens.flatMap(filtersOf).map(({ typedConfig }) => typedConfig as Json);
  const providers = providersOf(filters);
  const domains = trustDomains[name] ?? ["cluster.local"];
  const policies = policiesOf(input, domains, providers);
  if (typeof policies === "string") return policies;
  const compiled = compileAuthorization(policies, { trustDomains: domains, providers });
  if (compiled.problems.length > 0) return compiled.problems[0]!.message;
  const ours = isTcp ? tcpOutcome(policies, domains) : httpOutcome(compiled.http);
  const requests = new AuthzRequests(policies, seededRandom(SEED));
  for (let i = 0; i < REQUESTS; i++) {
    const request = requests.next();
    const outcome = ours(request);
    const theirs = expectedOf(filters, request, isTcp);
    if (outcome !== theirs) return `${JSON.stringify(request)}: ${outcome} instead of ${theirs}`;
  }
  return undefined;
}

function filtersOf(text: string): readonly Json[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Json | null)
    .filter((filter) => filter !== null);
}

/** Those that the case's mesh knows: they are asked, and not refused. */
function providersOf(filters: readonly Json[]): ReadonlySet<string> {
  const names = filters.flatMap(({ shadowRules }) => Object.keys(policiesIn(shadowRules)));
  return new Set(names.flatMap((name) => /^istio-ext-authz-(.*)-ns\[/.exec(name)?.[1] ?? []));
}

function policiesIn(rules: unknown): Json {
  return ((rules as Json | undefined)?.policies ?? {}) as Json;
}

function policiesOf(
  text: string,
  domains: readonly string[],
  providers: ReadonlySet<string>,
): readonly AuthorizationPolicy[] | string {
  const { configs, problems } = readDocuments(text, { file: "in.yaml", namespace: "default" });
  const error = problems.find(isError);
  if (error !== undefined) return `refused: ${error.path}: ${error.message}`;
  const set = accessSetOf(configs, "cluster.local", ({ origin }) => origin.line);
  const authorizers = [...providers].map((name) => ({ name }));
  return accessOf(set, node, { trustDomains: domains, authorizers }).authorizationPolicies;
}

/** "allowed, dry run: denied, asks opa" */
type Outcome = (request: GeneratedRequest) => string;

function httpOutcome(authorizer: Authorizer | undefined): Outcome {
  return ({ authority, token, ...rest }) => {
    const facts = factsSample({ ...rest, host: authority, ...(token !== undefined && { token }) });
    const asked = (authorizer?.custom ?? [])
      .filter(({ rules }) => rules.find(facts) !== undefined)
      .map(({ provider }) => provider);
    return outcomeOf(authorizer, facts, asked);
  };
}

/** Where Istio asks about a connection, ours is refused. */
function tcpOutcome(
  policies: readonly AuthorizationPolicy[],
  trustDomains: readonly string[],
): Outcome {
  const compile = (some: readonly AuthorizationPolicy[]) =>
    compileAuthorization(some, { trustDomains, providers: new Set() }).tcp;
  const isAsking = ({ action }: AuthorizationPolicy) => action === Action.CUSTOM;
  const authorizer = compile(policies.filter((policy) => !isAsking(policy)));
  const asking = Map.groupBy(policies.filter(isAsking), ({ provider }) => provider);
  const refusing = [...asking].map(([provider, some]) => ({ provider, rules: compile(some) }));
  return ({ authority: _, token: __, ...rest }) => {
    const facts = factsSample({ ...rest, host: "", method: "", path: "", headers: {} });
    const asked = refusing
      .filter(({ rules }) => rules?.decide(facts).allowed === false)
      .map(({ provider }) => provider);
    return outcomeOf(authorizer, facts, asked);
  };
}

function outcomeOf(
  authorizer: Authorizer | undefined,
  facts: AuthorizationFacts,
  asked: readonly string[],
): string {
  const allowed = authorizer?.decide(facts).allowed ?? true;
  const shadow = authorizer?.shadow(facts)?.allowed ?? allowed;
  return outcomeText(allowed, shadow, asked);
}

function expectedOf(filters: readonly Json[], request: GeneratedRequest, isTcp: boolean): string {
  const about = rbacRequest(request, isTcp);
  let [allowed, shadow] = [true, true];
  const asked: string[] = [];
  for (const filter of filters) {
    if (!String(filter["@type"]).endsWith(".RBAC")) continue;
    const rules = filter.rules as Json | undefined;
    const shadowRules = filter.shadowRules as Json | undefined;
    const own = matchingPolicy(rules, about);
    const other = matchingPolicy(shadowRules, about);
    if (filter.shadowRulesStatPrefix === "istio_ext_authz_") {
      if (other !== undefined) asked.push(/^istio-ext-authz-(.*)-ns\[/.exec(other)![1]!);
      continue;
    }
    allowed &&= passes(rules, own);
    const either = own ?? other;
    shadow &&= passes(rules ?? shadowRules, either);
  }
  return outcomeText(allowed, shadow, asked);
}

/** By its action, where a policy matches, or none does. */
function passes(rules: Json | undefined, matched: string | undefined): boolean {
  if (rules === undefined || rules.action === "LOG") return true;
  return (rules.action === "DENY") === (matched === undefined);
}

function outcomeText(allowed: boolean, shadow: boolean, asked: readonly string[]): string {
  const word = (is: boolean): string => (is ? "allowed" : "denied");
  const whom = [...asked].sort().join(" ") || "nobody";
  return `${word(allowed)}, dry run: ${word(shadow)}, asks ${whom}`;
}

function rbacRequest(request: GeneratedRequest, isTcp: boolean): RbacRequest {
  const { principal, authority, method, headers, token, ...rest } = request;
  const all = { ...headers, ":method": method, ":authority": authority };
  return {
    ...rest,
    principal: principal === "" ? "" : `spiffe://${principal}`,
    headers: isTcp ? undefined : new Map(Object.entries(all)),
    metadata: isTcp || token === undefined ? {} : metadataOf(token),
  };
}

/** As both generations of Istio's filters leave it. */
function metadataOf(token: Json): Json {
  const { iss, sub, aud, azp } = token;
  const lists = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, lists(one)]))
      : [value].flat();
  return {
    "envoy.filters.http.jwt_authn": { payload: token },
    istio_authn: {
      "request.auth.principal": `${iss}/${sub}`,
      "request.auth.audiences": aud,
      "request.auth.presenter": azp,
      "request.auth.claims": lists(token),
    },
  };
}
