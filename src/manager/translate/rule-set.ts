/**
 * What operators declared, sorted by kind and in the order in which it is considered: the model
 * side of a translation.
 */
import { type Config, type ConfigOf, configKey } from "../../model/config.ts";
import { defaultMeshSettings, type MeshSettings } from "../../model/mesh-settings.ts";

export interface RuleSet {
  /** By falling precedence, then by rising key. */
  readonly routeRules: readonly ConfigOf<"RouteRule">[];
  /** By rising key: the first that fits a cluster is the only one. */
  readonly destinationPolicies: readonly ConfigOf<"DestinationPolicy">[];
  /** By rising key: a domain belongs to the first that names it. */
  readonly egressRules: readonly ConfigOf<"EgressRule">[];
  readonly settings: MeshSettings;
  /** "cluster.local" */
  readonly domain: string;
}

export function ruleSetOf(configs: readonly Config[], domain: string): RuleSet {
  const keyed = configs
    .map((config) => ({ config, key: configKey(config) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ config }) => config);
  const routeRules = keyed
    .filter((config) => config.kind === "RouteRule")
    .sort((a, b) => b.spec.precedence - a.spec.precedence);
  return {
    routeRules,
    destinationPolicies: keyed.filter((config) => config.kind === "DestinationPolicy"),
    egressRules: keyed.filter((config) => config.kind === "EgressRule"),
    settings: keyed.find((config) => config.kind === "MeshConfig")?.spec ?? defaultMeshSettings,
    domain,
  };
}
