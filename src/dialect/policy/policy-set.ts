/**
 * Configs ─▶ all policy that they declare, with the standard manifests beneath: what the facts of
 * a mesh are called is known without anybody applying it. Deterministic in any order of configs.
 */
import { type Config, configKey } from "../../model/config.ts";
import type { Declared, PolicySet } from "../../model/policy-set.ts";
import { aspectManifests, aspectRules } from "./aspect/aspect-policy.ts";
import { standardManifests } from "./standard-manifest.ts";

export function policySetOf(configs: readonly Config[]): PolicySet {
  return withStandardManifests(declaredPolicy(configs));
}

/** What configs say, and nothing else. */
export function declaredPolicy(configs: readonly Config[]): PolicySet {
  const sorted = configs
    .map((config) => ({ config, key: configKey(config) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ config }) => config);
  const services = declared(sorted.filter((config) => config.kind === "ServiceConfig"));
  const globals = declared(sorted.filter((config) => config.kind === "GlobalConfig"));
  return {
    manifests: [
      ...declared(sorted.filter((config) => config.kind === "attributemanifest")),
      ...aspectManifests(globals),
    ],
    handlers: declared(sorted.filter((config) => config.kind === "handler")),
    instances: declared(sorted.filter((config) => config.kind === "instance")),
    rules: [
      ...declared(sorted.filter((config) => config.kind === "rule")),
      ...aspectRules(services, globals),
    ],
    quotaSpecs: declared(sorted.filter((config) => config.kind === "QuotaSpec")),
    quotaSpecBindings: declared(sorted.filter((config) => config.kind === "QuotaSpecBinding")),
    httpApiSpecs: declared(sorted.filter((config) => config.kind === "HTTPAPISpec")),
    httpApiSpecBindings: declared(sorted.filter((config) => config.kind === "HTTPAPISpecBinding")),
  };
}

/** A manifest of the same name, in whatever namespace, takes a standard one's place. */
export function withStandardManifests(set: PolicySet): PolicySet {
  const names = new Set(set.manifests.map(({ name }) => name));
  const missing = standardManifests.filter(({ name }) => !names.has(name));
  return { ...set, manifests: [...missing, ...set.manifests] };
}

function declared<Spec>(
  configs: readonly (Pick<Config, "meta" | "origin"> & { readonly spec: Spec })[],
): readonly Declared<Spec>[] {
  return configs.map(({ meta, origin, spec }) => ({
    name: meta.name,
    namespace: meta.namespace,
    origin,
    spec,
  }));
}
