/** Every adapter that a handler may name. */
import type { Adapter } from "../policy/adapter.ts";
import { denier } from "./denier.ts";
import { fluentd } from "./fluentd.ts";
import { list } from "./list.ts";
import { memoryQuota } from "./memory-quota.ts";
import { noop } from "./noop.ts";
import { opa } from "./opa.ts";
import { otlp } from "./otlp.ts";
import { prometheus } from "./prometheus.ts";
import { rbac } from "./rbac.ts";
import { redisQuota } from "./redis-quota.ts";
import { dogstatsd, statsd } from "./statsd.ts";
import { stdio } from "./stdio.ts";
import { webhook } from "./webhook.ts";
import { workload } from "./workload.ts";
import { zipkin } from "./zipkin.ts";

export const adapters: readonly Adapter[] = [
  denier,
  list,
  memoryQuota,
  redisQuota,
  prometheus,
  stdio,
  statsd,
  dogstatsd,
  fluentd,
  opa,
  rbac,
  otlp,
  zipkin,
  webhook,
  workload,
  noop,
];

/** By its name or a former one: "listchecker", "list". */
export function adapterNamed(name: string): Adapter | undefined {
  return adapters.find((adapter) => adapter.name === name || adapter.aliases.includes(name));
}
