/**
 * What is well formed, and yet will not do what its author thinks, given who is there: routes to a
 * version that nobody runs.
 */
import type { Problem } from "../core/problem.ts";
import type { Config, ConfigOf } from "../model/config.ts";
import type { ServiceInstance } from "../model/service.ts";
import type { Registry } from "./registry/registry.ts";
import { formatLabels, isSubset } from "./translate/labels.ts";

export function ruleWarnings(configs: readonly Config[], registry: Registry): readonly Problem[] {
  const byHost = Map.groupBy(registry.instances, ({ host }) => host);
  return configs.flatMap((config) =>
    config.kind === "RouteRule" ? emptySubsets(config, byHost) : [],
  );
}

/** A service without any instance is another matter: it may just not have started. */
function emptySubsets(
  config: ConfigOf<"RouteRule">,
  byHost: ReadonlyMap<string, readonly ServiceInstance[]>,
): readonly Problem[] {
  return config.spec.route.flatMap(({ destination: { host, labels }, weight }, i) => {
    const instances = byHost.get(host) ?? [];
    if (instances.length === 0 || (weight === 0 && config.spec.route.length > 1)) return [];
    if (instances.some((instance) => isSubset(labels, instance.labels))) return [];
    const message = `no instance of ${host} has ${formatLabels(labels)}: it answers 503 (UH)`;
    return [warning(config, `spec.route[${i}].labels`, message)];
  });
}

function warning({ origin }: Config, path: string, message: string): Problem {
  return { severity: "warning", position: origin, path, message };
}
