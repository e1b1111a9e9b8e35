/**
 * What operators declared, sorted by kind and in the order in which it is considered: the model
 * side of a translation.
 */
import { declaredPolicy } from "../../dialect/policy/policy-set.ts";
import { type Config, type ConfigOf, configKey } from "../../model/config.ts";
import { type DestinationPolicy, policiesOf } from "../../model/destination-policy.ts";
import { isIngressOurs } from "../../model/ingress.ts";
import { defaultMeshSettings, type MeshSettings } from "../../model/mesh-settings.ts";
import type { PolicySet } from "../../model/policy-set.ts";
import { compare } from "../order.ts";
import type { AccessSet } from "./access-object.ts";
import { type AgeOf, accessSetOf } from "./access-set.ts";

export interface RuleSet {
  /** Of a destination, by falling precedence, then by rising key. */
  readonly routeRules: ReadonlyMap<string, readonly ConfigOf<"RouteRule">[]>;
  /** Of a destination, by rising key: the first that fits a cluster is the only one. */
  readonly policies: ReadonlyMap<string, readonly KeyedPolicy[]>;
  /** Of a host, which may be "*.example.com", by rising key. */
  readonly destinationRules: ReadonlyMap<string, readonly ConfigOf<"DestinationRule">[]>;
  /** By rising key: a domain belongs to the first that names it. */
  readonly egressRules: readonly ConfigOf<"EgressRule">[];
  /** By rising key; of Ingress those that are ours. */
  readonly ingresses: readonly (ConfigOf<"IngressRule"> | ConfigOf<"Ingress">)[];
  readonly settings: MeshSettings;
  /** What is decided and told of exchanges, without the standard manifests. */
  readonly policy: PolicySet;
  readonly access: AccessSet;
  /** "cluster.local" */
  readonly domain: string;
}

/** One policy of a document, with the document. */
export interface KeyedPolicy {
  readonly config: ConfigOf<"DestinationPolicy">;
  readonly policy: DestinationPolicy;
}

export function ruleSetOf(
  configs: readonly Config[],
  domain: string,
  createdMs: AgeOf = () => 0,
): RuleSet {
  const keyed = configs
    .map((config) => ({ config, key: configKey(config) }))
    .sort((a, b) => compare(a.key, b.key))
    .map(({ config }) => config);
  const routeRules = keyed
    .filter((config) => config.kind === "RouteRule")
    .sort((a, b) => b.spec.precedence - a.spec.precedence);
  const policies = keyed
    .filter((config) => config.kind === "DestinationPolicy")
    .flatMap((config) => policiesOf(config.spec).map((policy) => ({ config, policy })));
  const destinationRules = keyed.filter((config) => config.kind === "DestinationRule");
  // What was stored by a former release has fewer settings.
  const stored = keyed.find((config) => config.kind === "MeshConfig")?.spec;
  const settings = { ...defaultMeshSettings, ...stored };
  return {
    destinationRules: Map.groupBy(destinationRules, ({ spec }) => spec.host),
    routeRules: Map.groupBy(routeRules, ({ spec }) => spec.destination.host),
    policies: Map.groupBy(policies, ({ policy }) => policy.destination.host),
    egressRules: keyed.filter((config) => config.kind === "EgressRule"),
    ingresses: keyed
      .filter((config) => config.kind === "IngressRule" || config.kind === "Ingress")
      .filter(
        ({ kind, spec }) => kind === "IngressRule" || isIngressOurs(settings.ingress, spec.class),
      ),
    settings,
    policy: declaredPolicy(keyed),
    access: accessSetOf(keyed, domain, createdMs),
    domain,
  };
}
