/**
 * Tables of unit tests: names, labels, protocols, matching, egress conflicts. A table without a
 * judge here is named with what it waits for; rows without an expected value are no cases.
 */
import { readFileSync } from "node:fs";
import { readDocuments } from "../../dialect/read.ts";
import { hostOf } from "../../dialect/routing/service-ref.ts";
import { validateSet } from "../../dialect/validate-set.ts";
import { accessOf } from "../../manager/translate/access.ts";
import { accessSetOf } from "../../manager/translate/access-set.ts";
import {
  equalLabels,
  formatLabels,
  isSubset,
  type Labels,
} from "../../manager/translate/labels.ts";
import { routeOf } from "../../manager/translate/route.ts";
import { isSource } from "../../manager/translate/source.ts";
import type { Config, ConfigOf } from "../../model/config.ts";
import { hostsOverlap, isHostWithin } from "../../model/host-name.ts";
import { ingressRuleName, isIngressOurs, isPathRegex } from "../../model/ingress.ts";
import { parseProtocol, protocolOfKubernetesPort } from "../../model/protocol.ts";
import { checkKubernetesLabel } from "../../model/validate-name.ts";
import { spaceDelimitedClaims } from "../../policy/jwt/verify-token.ts";
import { authzTableJudges } from "./manager-authz-tables.ts";
import { routeInV1 } from "./manager-envoy-route.ts";
import { identityJudges } from "./manager-identities.ts";
import { laterTables } from "./manager-tables-later.ts";
import { tokenTableJudges } from "./manager-token-tables.ts";
import { type Suite, Verdicts } from "./suite.ts";

type Row = Readonly<Record<string, unknown>>;

interface Table {
  readonly var: string;
  readonly rows: readonly Row[];
}

/** What is wrong with a row; undefined: nothing. An object says why it is not judged. */
type Verdict = string | undefined | { readonly departs: string };
type Judge = (row: Row) => Verdict;

const directory = "manager/tables";

/** By file and test. */
const judges: Readonly<Record<string, Judge>> = {
  ...identityJudges,
  ...authzTableJudges,
  ...tokenTableJudges,
  "pilot-master__model_config_test TestLabelsEquals": ({ a, b, want = false }) =>
    differ(want, equalLabels(labelsOf(a), labelsOf(b))),
  "pilot-master__model_config_test TestResolveHostname": resolvesTo,
  "pilot-master__model_config_test TestMatchSource": matchesSource,
  "pilot-master__model_config_test TestRejectConflictingEgressRules": rejectsConflicts,
  "pilot-master__model_service_test TestLabels": hasSubset,
  "istio-0.8.0__pilot_pkg_model_service_test TestLabels": hasSubset,
  "istio-0.8.0__pilot_pkg_model_service_test TestParseProtocol": parsesProtocol,
  "istio-0.8.0__pilot_pkg_model_service_test TestHostnameMatches": hostsMatch,
  "istio-master__pkg_config_protocol_instance_test TestParse": parsesProtocol,
  "istio-master__pkg_config_host_name_test TestNameMatches": hostsMatch,
  "istio-master__pkg_config_host_name_test TestNameSubsetOf": ({ a, b, out }) =>
    differ(out, isHostWithin(String(a), String(b))),
  "istio-master__pkg_config_labels_instance_test TestInstance": ({ left, right, expected }) =>
    differ((expected as Row).subsetOf, isSubset(labelsOf(left), labelsOf(right))),
  "istio-master__pkg_config_labels_instance_test TestString": ({ input, expected }) =>
    differ(expected, formatLabels(labelsOf(input))),
  "istio-master__pkg_config_labels_instance_test TestInstanceValidate": ({ tags, valid = false }) =>
    differ(
      valid,
      Object.entries(labelsOf(tags)).every(
        ([key, value]) => checkKubernetesLabel(key, value) === undefined,
      ),
    ),
  "pilot-master__proxy_envoy_header_test TestHTTPMatch": matchesHttp,
  "pilot-master__adapter_config_ingress_conversion_test TestDecodeIngressRuleName": ({
    ingressName,
    ruleNum,
    pathNum,
  }) => {
    const name = ingressRuleName(String(ingressName), Number(ruleNum), Number(pathNum));
    const [, ...parts] = /^(.*)-(\d+)-(\d+)$/.exec(name) ?? [];
    return differ([ingressName, String(ruleNum), String(pathNum)], parts);
  },
  "pilot-master__adapter_config_ingress_conversion_test TestIsRegularExpression": ({
    s,
    isRegex,
  }) => differ(isRegex, isPathRegex(String(s))),
  "pilot-master__adapter_config_ingress_conversion_test TestIngressClass": ({
    ingressMode,
    ingressClass = "",
    shouldProcess,
  }) => {
    const mode = (["OFF", "DEFAULT", "STRICT"] as const).find((one) => one === ingressMode);
    const control = { mode: mode ?? "OFF", class: "istio" } as const;
    return differ(shouldProcess, isIngressOurs(control, String(ingressClass)));
  },
  "istio-master__pilot_pkg_security_authn_policy_applier_test TestJwtFilter": asksForTokens,
  "istio-master__pilot_pkg_security_authn_policy_applier_test TestConvertToEnvoyJwtConfig":
    asksForTokens,
  "istio-master__pilot_pkg_security_authn_policy_applier_test TestBuildSpaceDelimitedClaims": ({
    input,
    expected,
  }) => differ(expected, spaceDelimitedClaims((input ?? []) as string[]).toSorted()),
  "pilot-master__platform_kube_conversion_test var:protocols": namesProtocol,
  "istio-0.8.0__pilot_pkg_serviceregistry_kube_conversion_test var:protocols": namesProtocol,
  "istio-master__pkg_config_kube_conversion_test TestConvertProtocol": namesProtocol,
};

/** Tables whose name alone says whose they are. */
const files = [
  ...new Set([...Object.keys(judges).map(fileOf), ...laterTables.map(([file]) => file)]),
];

export const tableSuites: readonly Suite[] = files.map((name) => ({
  file: `${directory}/${name}.json`,
  run: async (path) => {
    const { tests } = JSON.parse(readFileSync(path, "utf8")) as {
      tests: readonly { test: string; tables: readonly Table[] }[];
    };
    const verdicts = new Verdicts();
    for (const { test, tables } of tests)
      for (const table of tables) judgeTable(name, test, { table, verdicts });
    return verdicts.result();
  },
}));

function fileOf(key: string): string {
  return key.split(" ")[0] ?? "";
}

function judgeTable(
  file: string,
  test: string,
  { table, verdicts }: { table: Table; verdicts: Verdicts },
): void {
  const key = `${file} ${test}`;
  const judge = Object.hasOwn(judges, key) ? judges[key] : undefined;
  for (const [i, row] of table.rows.entries()) {
    const name = `${test} ${table.var}[${i}]`;
    const verdict = judge?.(row);
    if (judge === undefined) verdicts.skip(name, laterOf(file, test));
    else if (typeof verdict === "object") verdicts.skip(name, `departs: ${verdict.departs}`);
    else verdicts.judge(name, verdict && `${JSON.stringify(row)}: ${verdict}`);
  }
}

function laterOf(file: string, test: string): string {
  const found = laterTables.find(
    ([name, tests]) => name === file && (tests === "*" || tests.split(" ").includes(test)),
  );
  return found?.[2] ?? `${test}: nothing judges it yet`;
}

function differ(wanted: unknown, given: unknown): string | undefined {
  if (Bun.deepEquals(wanted, given)) return undefined;
  return `${JSON.stringify(given)}, not ${JSON.stringify(wanted)}`;
}

function labelsOf(value: unknown): Labels {
  return (value ?? {}) as Labels;
}

function hasSubset({ tag, list }: Row): Verdict {
  const sets = (list ?? []) as readonly unknown[];
  const found = sets.length === 0 || sets.some((set) => isSubset(labelsOf(set), labelsOf(tag)));
  return differ(true, found);
}

function hostsMatch({ a, b, out }: Row): Verdict {
  const [one, other] = [String(a), String(b)];
  const [wide, narrow] = one.startsWith("*") ? [one, other] : [other, one];
  const isShorter = !narrow.startsWith("*") && narrow.length < wide.length - 1;
  if (out === true && wide.startsWith("*") && isShorter)
    return {
      departs:
        "a long wildcard matches a shorter host, which TestNameMatches of " +
        "istio-master__pkg_config_host_name_test denies of the same hosts",
    };
  return differ(out, hostsOverlap(one, other));
}

function parsesProtocol({ name, out }: Row): Verdict {
  return differOnProtocol(String(out), parseProtocol(String(name)));
}

/** Of a port, from its application protocol if one is declared, else from its name and number. */
function namesProtocol({
  name,
  portName,
  proto,
  appProto,
  port,
  out,
  expectedProto,
}: Row): Verdict {
  const wanted = String(expectedProto ?? out);
  const found = protocolOfKubernetesPort({
    name: String(portName ?? (expectedProto ? "" : name)),
    number: Number(port ?? 0),
    transport: String(proto ?? ""),
    appProtocol: String(appProto ?? ""),
  });
  // Up to 0.8 a name that says nothing meant TCP.
  return differOnProtocol(wanted, expectedProto === undefined ? (found ?? "TCP") : found);
}

function differOnProtocol(wanted: string, found: string | undefined): Verdict {
  const upper = wanted.toUpperCase();
  if (upper === "GRPC-WEB" || upper === "HTTP_PROXY") return differ("HTTP", found);
  return differ(upper.startsWith("UNSUPPORTED") ? undefined : upper, found);
}

/** Resolution alone: a name beside a service is resolved here, and refused by validation. */
function resolvesTo({ meta, svc, want }: Row): Verdict {
  const none = { name: "", namespace: "", domain: "", service: "" };
  const context = { namespace: "", domain: "", ...(meta as Row) };
  return differ(want, hostOf({ ...none, ...(svc as Row) }, context));
}

/** A proxy without instances is the source of rules for anybody only. */
function matchesSource({ meta, svc, want }: Row): Verdict {
  const { namespace = "", domain = "" } = meta as { namespace?: string; domain?: string };
  const match = svc === undefined ? {} : { match: { source: svc } };
  const spec = { destination: { name: "any" }, ...match };
  const [config] = readRules([{ kind: "RouteRule", name: "x", spec }], namespace, domain);
  const source = config?.kind === "RouteRule" ? config.spec.match.source : undefined;
  return differ(want, isSource(source, { service: "", namespace, labels: {} }));
}

/** Whether tokens are asked for at all; how another proxy is told of it is not ours. */
function asksForTokens({ in: given, expected }: Row): Verdict {
  if (expected !== null) return { departs: "the expected value is a message of Envoy" };
  const texts = ((given ?? []) as readonly Row[]).map(({ spec = {} }) =>
    JSON.stringify({
      apiVersion: "security.istio.io/v1",
      kind: "RequestAuthentication",
      metadata: { name: "x" },
      spec,
    }),
  );
  const { configs } = readDocuments(texts.join("\n---\n"), { file: "x", namespace: "default" });
  const set = accessSetOf(configs, "cluster.local", () => 0);
  const node = { service: "", namespace: "default", labels: {} };
  const { requestAuthentications } = accessOf(set, node, { trustDomains: [], authorizers: [] });
  return differ(0, requestAuthentications.flatMap(({ rules }) => rules).length);
}

function rejectsConflicts({ in: given, out }: Row): Verdict {
  const rules = Object.entries(given as Row).map(([name, spec]) => ({
    kind: "EgressRule",
    name,
    spec,
  }));
  const configs = readRules(rules, "default", "cluster.local");
  const rejected = validateSet(configs, {}).map(({ position }) => position.line);
  const kept = configs.filter(({ origin }) => !rejected.includes(origin.line));
  return differ(Object.keys(out as Row).toSorted(), kept.map(({ meta }) => meta.name).toSorted());
}

function matchesHttp({ in: given, want }: Row): Verdict {
  const match = given as { request?: { headers?: { uri?: { regex?: string } } } };
  if (match.request?.headers?.uri?.regex !== undefined)
    return {
      departs: "a regex of the uri matches the path, not a header called uri (manager 1.5)",
    };
  const spec = { destination: { name: "any" }, match };
  const [config] = readRules([{ kind: "RouteRule", name: "x", spec }], "default", "");
  const route = routeOf(config as ConfigOf<"RouteRule">, () => "any");
  const { path = "", prefix = "", headers = [] } = routeInV1(route);
  const wanted = want as { path: string; prefix: string; headers?: readonly object[] };
  return differ({ ...wanted, headers: wanted.headers ?? [] }, { path, prefix, headers });
}

function readRules(
  rules: readonly { kind: string; name: string; spec: unknown }[],
  namespace: string,
  domain: string,
): readonly Config[] {
  const text = rules
    .map(({ kind, name, spec }) =>
      JSON.stringify({
        apiVersion: "config.istio.io/v1alpha2",
        kind,
        metadata: { name },
        spec,
      }),
    )
    .join("\n---\n");
  return readDocuments(text, { file: "case", namespace, domain }).configs;
}
