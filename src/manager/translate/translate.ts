/**
 * Rules, services and instances ─▶ what one proxy runs on. Pure and deterministic: equal input
 * gives equal bytes, whatever order it comes in. Spec tables: manager 1.5 to 1.8, 4.3.
 *
 *   service ─▶ plan ┐                ┌ virtual hosts ┐
 *   service ─▶ plan ┼─▶ assemble ──▶ ┤ clusters      ├─▶ ProxyConfig at a version
 *   egress  ─▶ plan ┘                └ endpoint sets ┘
 */
import { create } from "@bufbuild/protobuf";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import { assemble, type HashedPlan, settingsOf } from "./assemble.ts";
import { Catalog } from "./catalog.ts";
import { endpointSetOf } from "./cluster.ts";
import { type Plan, planEgress, planService } from "./plan.ts";
import {
  clusterResource,
  endpointSetResource,
  type Resources,
  virtualHostResource,
} from "./resource.ts";
import type { RuleSet } from "./rule-set.ts";
import type { NodeView } from "./source.ts";

export function translate(
  rules: RuleSet,
  services: readonly Service[],
  instances: readonly ServiceInstance[],
  node: NodeView,
): ProxyConfig {
  const catalog = new Catalog(services, instances);
  const context = { rules, catalog, node };
  const plans = [
    ...catalog.services.map((service) => planService(service, context)),
    ...rules.egressRules.map((egress) => planEgress(egress, context)),
  ].map(hashPlan);
  const resources = assemble(plans, settingsOf(rules.settings), (key) =>
    endpointSetResource(endpointSetOf(key, catalog.instances(key.host))),
  );
  return proxyConfigOf(resources);
}

export function hashPlan(plan: Plan): HashedPlan {
  return {
    virtualHosts: plan.virtualHosts.map(virtualHostResource),
    clusters: plan.clusters.map(({ key, cluster }) => ({ key, cluster: clusterResource(cluster) })),
    hosts: plan.hosts,
  };
}

export function proxyConfigOf(resources: Resources): ProxyConfig {
  return create(ProxyConfigSchema, {
    version: resources.version,
    settings: resources.settings.message,
    virtualHosts: resources.virtualHosts.map(({ message }) => message),
    clusters: resources.clusters.map(({ message }) => message),
    endpointSets: resources.endpointSets.map(({ message }) => message),
  });
}
