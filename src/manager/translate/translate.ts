/**
 * Rules, services and instances ─▶ what one proxy runs on. Pure and deterministic: equal input
 * gives equal bytes, whatever order it comes in. Spec tables: manager 1.5 to 1.8, 4.3.
 */
import { create } from "@bufbuild/protobuf";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import type { RuleSet } from "./rule-set.ts";

/** What of a proxy its configuration depends on. */
export interface NodeView {
  /** Full host name of the service that it stands for; empty: none. */
  readonly service: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function translate(
  rules: RuleSet,
  services: readonly Service[],
  instances: readonly ServiceInstance[],
  node: NodeView,
): ProxyConfig {
  void rules;
  void services;
  void instances;
  void node;
  return create(ProxyConfigSchema, {});
}
