/**
 * Rules, services and instances ─▶ what one proxy runs on. Pure and deterministic: equal input
 * gives equal bytes, whatever order it comes in. Spec tables: manager 1.5 to 1.8, 4.3.
 *
 *   service ─▶ plan ┐                ┌ virtual hosts ┐
 *   service ─▶ plan ┼─▶ assemble ──▶ ┤ clusters      ├─▶ ProxyConfig at a version
 *   egress  ─▶ plan ┘                └ endpoint sets ┘
 *
 * A gateway has one plan instead, of what is let in.
 */
import { create } from "@bufbuild/protobuf";
import {
  type EndpointSet,
  type ProxyConfig,
  ProxyConfigSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import { assemble, type HashedPlan, settingsOf } from "./assemble.ts";
import { Catalog } from "./catalog.ts";
import { type ClusterKey, endpointSetOf } from "./cluster.ts";
import { planGateway } from "./gateway.ts";
import { type Plan, type PlanContext, planEgress, planService } from "./plan.ts";
import {
  clusterResource,
  endpointSetResource,
  type Resource,
  type Resources,
  tcpDestinationResource,
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
  const endpointSet = (key: ClusterKey): Resource<EndpointSet> =>
    endpointSetResource(endpointSetOf(key, catalog.instances(key.host)));
  if (node.mode === "gateway") return proxyConfigOf(gatewayResources(context, endpointSet));
  const plans = [
    ...catalog.services.map((service) => planService(service, context)),
    ...rules.egressRules.map((egress) => planEgress(egress, context)),
  ].map(hashPlan);
  return proxyConfigOf(assemble(plans, settingsOf(rules.settings), endpointSet));
}

/** What a gateway runs on. */
export function gatewayResources(
  context: PlanContext,
  endpointSet: (key: ClusterKey) => Resource<EndpointSet>,
): Resources {
  const plan = planGateway(context);
  return assemble([hashPlan(plan)], settingsOf(context.rules.settings, plan.gateway), endpointSet);
}

export function hashPlan(plan: Plan): HashedPlan {
  return {
    virtualHosts: plan.virtualHosts.map(virtualHostResource),
    tcpDestinations: plan.tcpDestinations.map(tcpDestinationResource),
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
    tcpDestinations: resources.tcpDestinations.map(({ message }) => message),
  });
}
