/**
 * What is well formed, and yet will not do what its author thinks: routes to a version that nobody
 * runs, an ingress that serves nobody.
 */

import type { Problem } from "../core/problem.ts";
import type { Config, ConfigOf } from "../model/config.ts";
import { type IngressControl, isIngressOurs } from "../model/ingress.ts";
import { defaultMeshSettings } from "../model/mesh-settings.ts";
import type { Service, ServiceInstance } from "../model/service.ts";
import { accessWarnings } from "./access-warning.ts";
import { warning } from "./config-warning.ts";
import type { Registry } from "./registry/registry.ts";
import { isHttpPort } from "./translate/catalog.ts";
import { edgeRulesOf } from "./translate/edge-rule.ts";
import { httpPort, tlsPort } from "./translate/gateway.ts";
import { formatLabels, isSubset } from "./translate/labels.ts";

/** What the rules that are judged stand among. */
interface Within {
  readonly all: readonly Config[];
  readonly domain: string;
}

export function ruleWarnings(
  configs: readonly Config[],
  registry: Registry,
  within: Within = { all: configs, domain: "cluster.local" },
): readonly Problem[] {
  const byHost = Map.groupBy(registry.instances, ({ host }) => host);
  const byName = new Map(registry.services.map((service) => [service.host, service]));
  const settings =
    configs.find((config) => config.kind === "MeshConfig")?.spec ?? defaultMeshSettings;
  const ofRules = configs.flatMap((config) => {
    switch (config.kind) {
      case "RouteRule":
        return emptySubsets(config, byHost);
      case "Ingress":
        return isIngressOurs(settings.ingress, config.spec.class)
          ? unservedBackends(config, byName)
          : [notOurs(config, settings.ingress)];
      case "IngressRule":
        return unservedBackends(config, byName);
      case "DestinationRule":
        return ungreeted(config, byName);
      default:
        return [];
    }
  });
  return [...ofRules, ...accessWarnings(configs, registry, within)];
}

/** Connections that requests share cannot say who called. */
function ungreeted(
  config: ConfigOf<"DestinationRule">,
  services: ReadonlyMap<string, Service>,
): readonly Problem[] {
  const { host, trafficPolicy, subsets } = config.spec;
  const policies = [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)];
  if (policies.every((policy) => policy?.proxyProtocol === undefined)) return [];
  const port = services.get(host)?.ports.find(isHttpPort);
  if (port === undefined) return [];
  const message = `proxyProtocol is not for requests: ${host} has an HTTP port ${port.number}`;
  return [warning(config, "spec.trafficPolicy", message)];
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

function notOurs(config: ConfigOf<"Ingress">, { mode, class: ours }: IngressControl): Problem {
  const own = config.spec.class === "" ? "has no class" : `is of class ${config.spec.class}`;
  const message = `${own}, and is not served: ingressControllerMode is ${mode}, ours is ${ours}`;
  return warning(config, "metadata.annotations", message);
}

/** A service that nobody knows (yet) is told of elsewhere. */
function unservedBackends(
  config: ConfigOf<"Ingress"> | ConfigOf<"IngressRule">,
  services: ReadonlyMap<string, Service>,
): readonly Problem[] {
  return edgeRulesOf([config]).flatMap(({ backend: { host, port }, name, passesTls }) => {
    const service = services.get(host);
    const portOf = passesTls ? tlsPort : httpPort;
    if (service === undefined || portOf(port, service) !== undefined) return [];
    const kind = passesTls ? "TLS" : "HTTP";
    const which =
      port === "" ? `exactly one ${kind} port` : `${passesTls ? "a" : "an"} ${kind} port ${port}`;
    const path = config.kind === "IngressRule" ? "spec.destination" : "spec.rules";
    return [warning(config, path, `${name} leads nowhere: ${host} does not have ${which}`)];
  });
}
