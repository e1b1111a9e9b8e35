/**
 * Translation that keeps what did not change. Proxies that no rule can tell apart share one view;
 * in a view each service has its plan, kept until a host that it looked at changes; endpoint sets
 * are kept across views, so a changed endpoint costs one set.
 *
 *   update(world) ─▶ drops what the change touches        resources(node) ─▶ view, made on demand
 */
import type { TrustBundle } from "../../api/gen/mesh/v1/identity_pb.ts";
import { type Config, configKey } from "../../model/config.ts";
import { policiesOf } from "../../model/destination-policy.ts";
import { isHostWithin } from "../../model/host-name.ts";
import type { ServiceRef } from "../../model/route-rule.ts";
import { compare } from "../order.ts";
import { accessKey, accessOf } from "./access.ts";
import { accessNamesOf } from "./access-names.ts";
import { isSameAccess } from "./access-set.ts";
import { assemble, type HashedPlan, settingsOf } from "./assemble.ts";
import { Catalog } from "./catalog.ts";
import { type ClusterKey, clusterName, endpointSetOf } from "./cluster.ts";
import { egressProxyOf } from "./egress-proxy.ts";
import { KnownWorkloads } from "./known-workload.ts";
import { formatLabels } from "./labels.ts";
import { accessResource, trustResource, wholeOf } from "./own-resource.ts";
import { planEgress, planService } from "./plan.ts";
import { isSamePolicy, policyKey, policyResourceOf } from "./policy.ts";
import {
  endpointSetResource,
  type Resource,
  type Resources,
  type SharedResources,
} from "./resource.ts";
import { type RuleSet, ruleSetOf } from "./rule-set.ts";
import { isSource, type NodeView } from "./source.ts";
import { gatewayResources, hashPlan, mixerResources } from "./translate.ts";

export interface World {
  readonly rules: RuleSet;
  readonly catalog: Catalog;
  /** Absent: nobody has an identity. */
  readonly trust?: TrustBundle;
}

interface View {
  /** The last that asked: any one of the proxies that share it now. */
  node: NodeView;
  /** By "service/<host>" or the egress rule's key. */
  readonly plans: Map<string, HashedPlan>;
  resources: SharedResources | undefined;
  /** With each access that its proxies have, by that's key. */
  readonly wholes: Map<string, Resources>;
  /** The update in which it was last asked for. */
  usedAt: number;
}

/** A view that nobody asked for during so many updates is dropped. */
const UNUSED_UPDATES_MAX = 16;

export class Translator {
  readonly #views = new Map<string, View>();
  readonly #viewKeys = new Map<string, string>();
  readonly #endpointSets = new Map<string, Resource<Resources["endpointSets"][0]["message"]>>();
  /** By their keys. */
  readonly #policies = new Map<string, Resources["policy"]>();
  readonly #access = new Map<string, Resources["access"]>();
  /** By node, until what is declared changes. */
  readonly #accessKeys = new Map<string, string>();
  readonly #workloads = new KnownWorkloads();
  #world: World;
  #settings: Resources["settings"];
  #sourced: readonly Sourced[] = [];
  #trust: Resources["trust"];
  #updates = 0;

  constructor(domain: string) {
    this.#world = { rules: ruleSetOf([], domain), catalog: new Catalog([], []) };
    this.#settings = settingsOf(this.#world.rules.settings);
  }

  update(world: World): void {
    const former = this.#world;
    this.#world = world;
    this.#updates++;
    this.#viewKeys.clear();
    this.#sourced = sourcedOf(world.rules);
    const endpoints = changedInstances(former.catalog, world.catalog);
    this.#dropEndpointSets(endpoints);
    this.#dropAccess(former);
    if (!isSamePolicy(former.rules.policy, world.rules.policy)) this.#policies.clear();
    if (!Bun.deepEquals(former.rules.settings, world.rules.settings)) {
      this.#settings = settingsOf(world.rules.settings);
      this.#views.clear();
      this.#endpointSets.clear();
      return;
    }
    const owners = changedOwners(former.rules, world.rules);
    const changed = changedHosts(former, world);
    for (const [key, view] of this.#views) {
      view.resources = undefined;
      view.wholes.clear();
      if (this.#updates - view.usedAt > UNUSED_UPDATES_MAX) this.#views.delete(key);
      for (const [owner, plan] of view.plans)
        if (owners.has(owner) || concerns(changed, plan.hosts)) view.plans.delete(owner);
    }
  }

  resources(node: NodeView): Resources {
    const key = this.#viewKey(node);
    let view = this.#views.get(key);
    if (view === undefined) {
      view = { node, plans: new Map(), resources: undefined, wholes: new Map(), usedAt: 0 };
      this.#views.set(key, view);
    }
    // Who shares a view changes with the rules; a former one of them may be told apart now.
    view.node = node;
    view.usedAt = this.#updates;
    view.resources ??= this.#assemble(view);
    const own = this.#accessKey(node);
    const known = view.wholes.get(own);
    if (known !== undefined) return known;
    const access = this.#accessResource(own, node);
    const whole = wholeOf(view.resources, { access, trust: this.#trust });
    view.wholes.set(own, whole);
    return whole;
  }

  #accessKey(node: NodeView): string {
    const identity = nodeKey(node);
    let key = this.#accessKeys.get(identity);
    if (key === undefined) {
      if (this.#accessKeys.size >= NODES_MAX) this.#accessKeys.clear();
      key = accessKey(this.#world.rules.access, node);
      this.#accessKeys.set(identity, key);
    }
    return key;
  }

  #accessResource(key: string, node: NodeView): Resources["access"] {
    let resource = this.#access.get(key);
    if (resource === undefined) {
      const { rules, trust } = this.#world;
      const names = accessNamesOf(rules, trust);
      resource = accessResource(accessOf(rules.access, node, names));
      this.#access.set(key, resource);
    }
    return resource;
  }

  /** What policies mean changes with them, with who may be asked, and with the trust domains. */
  #dropAccess(former: World): void {
    const { rules, trust } = this.#world;
    this.#trust = trust && trustResource(trust);
    const isSame = isSameAccess(former.rules.access, rules.access);
    if (!isSame) this.#accessKeys.clear();
    const names = accessNamesOf(rules, trust);
    const before = accessNamesOf(former.rules, former.trust);
    if (!isSame || !Bun.deepEquals(before, names)) this.#access.clear();
  }

  #assemble(view: View): SharedResources {
    const { rules, catalog } = this.#world;
    const context = { rules, catalog, node: view.node };
    // One plan of everything: a change of anything makes it anew.
    const policy = this.#policy(view.node);
    if (view.node.mode === "gateway")
      return gatewayResources(context, policy, (key) => this.#endpointSet(key));
    if (view.node.mode === "mixer")
      return mixerResources(rules, policy, this.#workloads.of(catalog));
    const keep = (owner: string, make: () => HashedPlan): HashedPlan => {
      const kept = view.plans.get(owner) ?? make();
      view.plans.set(owner, kept);
      return kept;
    };
    const plans = [
      ...catalog.services.map((service) =>
        keep(serviceOwner(service.host), () => hashPlan(planService(service, context))),
      ),
      ...rules.egressRules.map((egress) =>
        keep(configKey(egress), () => hashPlan(planEgress(egress, context))),
      ),
    ];
    return assemble(plans, { settings: this.#settings, policy }, (key) => this.#endpointSet(key));
  }

  #policy(node: NodeView): Resources["policy"] {
    const { policy } = this.#world.rules;
    const key = policyKey(policy, node);
    let resource = this.#policies.get(key);
    if (resource === undefined) {
      resource = policyResourceOf(policy, node);
      this.#policies.set(key, resource);
    }
    return resource;
  }

  #endpointSet(key: ClusterKey): Resource<Resources["endpointSets"][0]["message"]> {
    const name = `${key.via ?? ""}|${key.plain ? "plain" : ""}|${clusterName(key)}`;
    let set = this.#endpointSets.get(name);
    if (set === undefined) {
      const instances = this.#world.catalog.instances(key.host);
      set = endpointSetResource(endpointSetOf(key, instances));
      this.#endpointSets.set(name, set);
    }
    return set;
  }

  #dropEndpointSets(hosts: ReadonlySet<string>): void {
    if (hosts.size === 0) return;
    for (const name of this.#endpointSets.keys())
      if (hosts.has(name.slice(name.lastIndexOf("|") + 1))) this.#endpointSets.delete(name);
  }

  /** Mode, namespace, egress proxy, objects with a source that speak of this node, its policy. */
  #viewKey(node: NodeView): string {
    const { mode = "sidecar", namespace } = node;
    const identity = nodeKey(node);
    let key = this.#viewKeys.get(identity);
    if (key === undefined) {
      const spoken = this.#sourced.filter(({ source }) => isSource(source, node));
      const via = egressProxyOf(this.#world.rules, node) ?? "";
      const policy = policyKey(this.#world.rules.policy, node);
      key = [mode, namespace, via, ...spoken.map(({ name }) => name), policy].join("|");
      this.#viewKeys.set(identity, key);
    }
    return key;
  }
}

/** Nodes whose keys are remembered. */
const NODES_MAX = 10_000;

function nodeKey({ mode = "sidecar", namespace, service, labels }: NodeView): string {
  return `${mode}|${namespace}|${service}|${formatLabels(labels)}`;
}

interface Sourced {
  readonly name: string;
  readonly source: ServiceRef;
}

/** What speaks of some callers only; two callers of whom the same speaks are one view. */
function sourcedOf({ routeRules, policies, destinationRules }: RuleSet): readonly Sourced[] {
  const rules = [...routeRules.values()].flat().map((config) => ({
    name: configKey(config),
    source: config.spec.match.source,
  }));
  const others = [...policies.values()].flat().map(({ config, policy }) => ({
    name: `${configKey(config)}/${formatLabels(policy.destination.labels)}`,
    source: policy.source,
  }));
  const selecting = all(destinationRules).map((config) => ({
    name: configKey(config),
    source: config.spec.workloadSelector && { host: "", labels: config.spec.workloadSelector },
  }));
  return [...rules, ...others, ...selecting]
    .flatMap(({ name, source }) => (source === undefined ? [] : [{ name, source }]))
    .sort((a, b) => compare(a.name, b.name));
}

function serviceOwner(host: string): string {
  return `service/${host}`;
}

/** Services whose own rules changed, and egress rules that did or whose destination's rules did. */
function changedOwners(former: RuleSet, now: RuleSet): ReadonlySet<string> {
  const owners = new Set<string>();
  const hosts = new Set<string>();
  const [before, after] = [all(former.routeRules), all(now.routeRules)];
  for (const { spec } of difference(before, after)) hosts.add(spec.destination.host);
  for (const host of hosts) owners.add(serviceOwner(host));
  for (const egress of difference(former.egressRules, now.egressRules))
    owners.add(configKey(egress));
  for (const egress of now.egressRules)
    if (hosts.has(egress.spec.service)) owners.add(configKey(egress));
  return owners;
}

/** Whose service or policies changed. */
interface ChangedHosts {
  readonly names: ReadonlySet<string>;
  /** "*.example.com", of rules for many. */
  readonly patterns: readonly string[];
}

/** Of interest to a plan that looked at these, whether they exist or not. */
function concerns({ names, patterns }: ChangedHosts, looked: ReadonlySet<string>): boolean {
  if (!names.isDisjointFrom(looked)) return true;
  if (patterns.length === 0) return false;
  return [...looked].some((host) => patterns.some((pattern) => isHostWithin(host, pattern)));
}

function changedHosts(former: World, now: World): ChangedHosts {
  const hosts = new Set<string>();
  const [before, after] = [all(former.rules.policies), all(now.rules.policies)];
  const configs = difference(
    before.map(({ config }) => config),
    after.map(({ config }) => config),
  );
  for (const { spec } of configs)
    for (const { destination } of policiesOf(spec)) hosts.add(destination.host);
  const rules = difference(all(former.rules.destinationRules), all(now.rules.destinationRules));
  for (const { spec } of rules) hosts.add(spec.host);
  const patterns = rules.map(({ spec }) => spec.host).filter((host) => host.startsWith("*"));
  for (const { host } of [...former.catalog.services, ...now.catalog.services])
    if (!Bun.deepEquals(former.catalog.service(host), now.catalog.service(host))) hosts.add(host);
  return { names: hosts, patterns };
}

function changedInstances(former: Catalog, now: Catalog): ReadonlySet<string> {
  const hosts = new Set<string>();
  for (const host of new Set([...former.hosts(), ...now.hosts()]))
    if (!Bun.deepEquals(former.instances(host), now.instances(host))) hosts.add(host);
  return hosts;
}

function all<T>(lists: ReadonlyMap<string, readonly T[]>): readonly T[] {
  return [...lists.values()].flat();
}

/** What is only in one of the lists. Stored configs keep their identity as long as they stay. */
function difference<C extends Config>(a: readonly C[], b: readonly C[]): readonly C[] {
  const [inA, inB] = [new Set<C>(a), new Set<C>(b)];
  return [...inA.symmetricDifference(inB)];
}
