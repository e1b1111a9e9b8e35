/**
 * The older kinds of policy, called after an adapter or a template: `kind: denier` is a handler,
 * `kind: listentry` an instance. Their names live on in references: "name.listentry.namespace".
 */
/** Kind ─▶ adapter. A test beside the adapters holds that none is missing. */
export const adapterKinds: ReadonlyMap<string, string> = new Map([
  ...`denier listchecker memquota redisquota prometheus stdio statsd dogstatsd fluentd opa otlp
      zipkin webhook noop rbac kubernetesenv`
    .split(/\s+/)
    .map((name) => [name, name] as const),
  ["list", "listchecker"],
  ["workload", "kubernetesenv"],
]);

export const templateKinds: readonly string[] = [
  "checknothing",
  "listentry",
  "authorization",
  "apikey",
  "quota",
  "metric",
  "logentry",
  "reportnothing",
  "tracespan",
  "edge",
  "kubernetes",
];
