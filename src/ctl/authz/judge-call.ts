/**
 * Whether a call would be let in, without making it: the rules that a proxy was sent, asked by the
 * evaluator that the proxy itself uses.
 */
import { type AccessConfig, MutualTls_Mode } from "../../api/gen/mesh/v1/access_pb.ts";
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { compileAuthorization } from "../../policy/authorization/compile-authorization.ts";
import { decisionText, placeOf } from "../../policy/authorization/decision.ts";
import type { AuthorizationFacts } from "../../policy/authorization/facts.ts";
import { remediesOf } from "../../policy/authorization/remedy.ts";

export interface CallJudgement {
  readonly allowed: boolean;
  /** "AuthorizationPolicy/default/web rule 0"; "no policy" */
  readonly by: string;
  readonly place: string;
  readonly reason: string;
  /** Whom it would be shown to before. */
  readonly asks: readonly string[];
  readonly remedies: readonly string[];
  readonly mutualTls: "DISABLE" | "PERMISSIVE" | "STRICT";
  /** Who says so; "": nobody, it is what there is without a word. */
  readonly mutualTlsBy: string;
  /** A call without TLS of the mesh would be served. */
  readonly plaintext: boolean;
  /** In words: what was assumed, or does not hold. */
  readonly notes: readonly string[];
}

export function judgeCall(
  config: ProxyConfig,
  facts: AuthorizationFacts,
  isTcp: boolean,
): CallJudgement {
  const { access, trust } = config;
  const mutualTls = modeOf(access, facts.destinationPort);
  const origin = access?.mutualTls?.origin;
  const tls = {
    mutualTls,
    mutualTlsBy: origin === undefined ? "" : [origin.object, placeOf(origin)].join(" ").trim(),
    plaintext: mutualTls !== "STRICT",
  };
  const isPlain = facts.principal === "";
  if (isPlain && mutualTls === "STRICT")
    return {
      ...{ ...tls, allowed: false, by: origin?.object ?? "mutual TLS", place: placeOf(origin) },
      reason: "mutual TLS is STRICT, and who proves no identity is not served",
      ...{ asks: [], remedies: [], notes: [] },
    };
  const isHidden = mutualTls === "DISABLE" && !isPlain;
  const known = isHidden ? anonymous(facts) : facts;
  const notes = isHidden ? ["mutual TLS is DISABLEd there: nobody's identity is known"] : [];
  return { ...tls, ...judgeByRules({ access, trust }, known, isTcp), notes };
}

function judgeByRules(
  { access, trust }: Pick<ProxyConfig, "access" | "trust">,
  facts: AuthorizationFacts,
  isTcp: boolean,
): Pick<CallJudgement, "allowed" | "by" | "place" | "reason" | "asks" | "remedies"> {
  const policies = access?.authorizationPolicies ?? [];
  const trustDomains = trust === undefined ? [] : [trust.trustDomain, ...trust.trustDomainAliases];
  const providers = new Set(access?.externalAuthorizers.map(({ name }) => name));
  const { http, tcp } = compileAuthorization(policies, { trustDomains, providers });
  const authorizer = isTcp ? tcp : http;
  const asks = (authorizer?.custom ?? [])
    .filter(({ rules }) => rules.find(facts) !== undefined)
    .map(({ provider }) => provider);
  const decision = authorizer?.decide(facts);
  if (decision === undefined)
    return {
      ...{ allowed: true, by: "no policy", place: "", reason: "no policy concerns it" },
      ...{ asks, remedies: [] },
    };
  const { allowed, place, reason } = decision;
  const context = { isTcp, trustDomains };
  const remedies = allowed ? [] : remediesOf(decision, policies, facts, context);
  return { allowed, by: decisionText(decision), place, reason, asks, remedies };
}

function modeOf(access: AccessConfig | undefined, port: number): CallJudgement["mutualTls"] {
  const { mode = MutualTls_Mode.UNSPECIFIED, ports = {} } = access?.mutualTls ?? {};
  switch (ports[port] ?? mode) {
    case MutualTls_Mode.DISABLE:
      return "DISABLE";
    case MutualTls_Mode.STRICT:
      return "STRICT";
    default:
      return "PERMISSIVE";
  }
}

function anonymous(facts: AuthorizationFacts): AuthorizationFacts {
  return { ...facts, principal: "", trustDomain: "", namespace: "", serviceAccount: "" };
}
