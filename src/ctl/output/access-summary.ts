/**
 * Who may call whom in a few words for tables, from a spec in canonical JSON: "app=reviews",
 * "DENY 2 rules". Tolerant, as all summaries.
 */
import { type Json, list, record, text } from "./loose-json.ts";

export interface AccessSummary {
  /** Whom it is for. */
  readonly destination: string;
  readonly action: string;
}

/** Undefined: no such kind. */
export function summarizeAccess(kind: string, spec: Json): AccessSummary | undefined {
  return Object.hasOwn(summaries, kind) ? summaries[kind]?.(spec) : undefined;
}

const summaries: Readonly<Record<string, (spec: Json) => AccessSummary>> = {
  PeerAuthentication: (spec) => ({ destination: target(spec), action: peer(spec) }),
  RequestAuthentication: (spec) => ({
    destination: target(spec),
    action: list(spec.jwtRules)
      .map((rule) => text(record(rule).issuer) || "any issuer")
      .join(", "),
  }),
  AuthorizationPolicy: (spec) => ({ destination: target(spec), action: policy(spec) }),
  Policy: (spec) => ({
    destination: list(spec.targets)
      .map((one) => text(record(one).name))
      .join(","),
    action: authentication(spec),
  }),
  MeshPolicy: (spec) => ({ destination: "*", action: authentication(spec) }),
  ServiceRole: ({ rules }) => ({
    destination: [...new Set(list(rules).flatMap((rule) => list(record(rule).services)))].join(","),
    action: list(rules)
      .map((rule) => list(record(rule).methods).join(" ") || "*")
      .join(", "),
  }),
  ServiceRoleBinding: ({ roleRef, role, subjects }) => ({
    destination: "",
    action: `${text(record(roleRef).name ?? role)} for ${count(subjects, "subject")}`,
  }),
  RbacConfig: ({ mode }) => ({ destination: "", action: text(mode) || "OFF" }),
  ClusterRbacConfig: ({ mode }) => ({ destination: "", action: text(mode) || "OFF" }),
};

/** "app=reviews", "Service/reviews"; empty: all of its namespace. */
function target({ selector, targetRef, targetRefs }: Json): string {
  const labels = Object.entries(record(record(selector).matchLabels));
  if (labels.length > 0) return labels.map(([key, value]) => `${key}=${text(value)}`).join(",");
  const references = targetRef === undefined ? list(targetRefs) : [targetRef];
  return references
    .map(record)
    .map(({ kind, name }) => `${text(kind)}/${text(name)}`)
    .join(",");
}

/** "STRICT 9080=DISABLE" */
function peer({ mtls, portLevelMtls }: Json): string {
  const ports = Object.entries(record(portLevelMtls)).map(
    ([port, own]) => `${port}=${text(record(own).mode) || "UNSET"}`,
  );
  return [text(record(mtls).mode) || "UNSET", ...ports].join(" ");
}

function policy({ action, provider, rules }: Json): string {
  const asked = text(record(provider).name);
  const word = `${text(action) || "ALLOW"}${asked === "" ? "" : ` by ${asked}`}`;
  return list(rules).length === 0 ? `${word} nothing` : `${word} ${count(rules, "rule")}`;
}

function authentication({ peers, origins }: Json): string {
  const methods = [...list(peers), ...list(origins)].map((one) => {
    const { jwt } = record(one);
    return jwt === undefined ? "mtls" : `jwt ${text(record(jwt).issuer)}`;
  });
  return methods.join(", ");
}

function count(values: unknown, word: string): string {
  const { length } = list(values);
  return `${length} ${word}${length === 1 ? "" : "s"}`;
}
