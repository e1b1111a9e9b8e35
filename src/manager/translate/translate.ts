/**
 * Rules, services and instances ─▶ what one proxy runs on. Pure and deterministic: equal input
 * gives equal bytes, whatever order it comes in. Spec tables: manager 1.5 to 1.8, 4.3.
 *
 *   service ─▶ plan ┐                ┌ virtual hosts ┐
 *   service ─▶ plan ┼─▶ assemble ──▶ ┤ clusters      ├─▶ ProxyConfig at a version
 *   egress  ─▶ plan ┘                └ endpoint sets ┘
 *
 * A gateway has one plan instead, of what is let in; a mixer none, and is told of all workloads.
 * All of them have policy.
 */
import { create } from "@bufbuild/protobuf";
import type { TrustBundle } from "../../api/gen/mesh/v1/identity_pb.ts";
import {
  type EndpointSet,
  type ProxyConfig,
  ProxyConfigSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import { accessOf } from "./access.ts";
import { accessNamesOf } from "./access-names.ts";
import { assemble, type HashedPlan, settingsOf } from "./assemble.ts";
import { Catalog } from "./catalog.ts";
import { type ClusterKey, endpointSetOf } from "./cluster.ts";
import { planGateway } from "./gateway.ts";
import { KnownWorkloads } from "./known-workload.ts";
import { accessResource, trustResource, wholeOf } from "./own-resource.ts";
import { type Plan, type PlanContext, planEgress, planService } from "./plan.ts";
import { policyResourceOf } from "./policy.ts";
import {
  clusterResource,
  endpointSetResource,
  type Resource,
  type Resources,
  resourcesOf,
  type SharedResources,
  tcpDestinationResource,
  virtualHostResource,
} from "./resource.ts";
import type { RuleSet } from "./rule-set.ts";
import type { NodeView } from "./source.ts";

export interface TranslationInput {
  readonly rules: RuleSet;
  readonly services: readonly Service[];
  readonly instances: readonly ServiceInstance[];
  /** Absent: nobody has an identity. */
  readonly trust?: TrustBundle;
}

/** In a mesh where nobody has an identity. */
export function translate(
  rules: RuleSet,
  services: readonly Service[],
  instances: readonly ServiceInstance[],
  node: NodeView,
): ProxyConfig {
  return translateFor({ rules, services, instances }, node);
}

export function translateFor(input: TranslationInput, node: NodeView): ProxyConfig {
  const { rules, trust } = input;
  const access = accessOf(rules.access, node, accessNamesOf(rules, trust));
  const own = { access: accessResource(access), trust: trust && trustResource(trust) };
  return proxyConfigOf(wholeOf(sharedResources(input, node), own));
}

function sharedResources(
  { rules, services, instances }: TranslationInput,
  node: NodeView,
): SharedResources {
  const catalog = new Catalog(services, instances);
  const context = { rules, catalog, node };
  const policy = policyResourceOf(rules.policy, node);
  const endpointSet = (key: ClusterKey): Resource<EndpointSet> =>
    endpointSetResource(endpointSetOf(key, catalog.instances(key.host)));
  if (node.mode === "gateway") return gatewayResources(context, policy, endpointSet);
  if (node.mode === "mixer") return mixerResources(rules, policy, new KnownWorkloads().of(catalog));
  const plans = [
    ...catalog.services.map((service) => planService(service, context)),
    ...rules.egressRules.map((egress) => planEgress(egress, context)),
  ].map(hashPlan);
  return assemble(plans, { settings: settingsOf(rules.settings), policy }, endpointSet);
}

/** What a gateway runs on. */
export function gatewayResources(
  context: PlanContext,
  policy: SharedResources["policy"],
  endpointSet: (key: ClusterKey) => Resource<EndpointSet>,
): SharedResources {
  const plan = planGateway(context);
  const settings = settingsOf(context.rules.settings, plan.gateway);
  return assemble([hashPlan(plan)], { settings, policy }, endpointSet);
}

/** What a mixer runs on. */
export function mixerResources(
  rules: RuleSet,
  policy: SharedResources["policy"],
  workloads: SharedResources["workloads"],
): SharedResources {
  const settings = settingsOf(rules.settings);
  return resourcesOf({
    settings,
    policy,
    workloads,
    virtualHosts: [],
    clusters: [],
    endpointSets: [],
    tcpDestinations: [],
  });
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
    policy: resources.policy.message,
    virtualHosts: resources.virtualHosts.map(({ message }) => message),
    clusters: resources.clusters.map(({ message }) => message),
    endpointSets: resources.endpointSets.map(({ message }) => message),
    tcpDestinations: resources.tcpDestinations.map(({ message }) => message),
    workloads: resources.workloads.map(({ message }) => message),
    access: resources.access.message,
    ...(resources.trust !== undefined && { trust: resources.trust.message }),
  });
}
