/**
 * What is well formed, and yet will not do what its author thinks: routes to a version that nobody
 * runs, protocols that are accepted and carried in another way, or not yet.
 */
import type { Problem } from "../core/problem.ts";
import type { Config, ConfigOf } from "../model/config.ts";
import type { ServiceInstance } from "../model/service.ts";
import type { Registry } from "./registry/registry.ts";
import { formatLabels, isSubset } from "./translate/labels.ts";

export function ruleWarnings(configs: readonly Config[], registry: Registry): readonly Problem[] {
  const byHost = Map.groupBy(registry.instances, ({ host }) => host);
  return configs.flatMap((config) => {
    switch (config.kind) {
      case "RouteRule":
        return emptySubsets(config, byHost);
      case "EgressRule":
        return otherwiseCarried(config);
      default:
        return [];
    }
  });
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

function otherwiseCarried(config: ConfigOf<"EgressRule">): readonly Problem[] {
  const { service, ports } = config.spec;
  return ports.flatMap(({ port, protocol }, i) => {
    if (protocol === "http" || protocol === "http2" || protocol === "grpc") return [];
    const message =
      protocol === "https"
        ? `the proxy begins no TLS of its own yet: call https://${service}:${port} through it`
        : `${protocol} to addresses is carried once connections are captured, which is not yet`;
    return [warning(config, `spec.ports[${i}].protocol`, message)];
  });
}

function warning({ origin, fields }: Config, path: string, message: string): Problem {
  const [, field = ""] = /^spec\.(\w+)/.exec(path) ?? [];
  return { severity: "warning", position: fields?.[field] ?? origin, path, message };
}
