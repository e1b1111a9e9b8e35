/**
 * ServiceEntry and WorkloadEntry of networking.istio.io: services that somebody wrote down. Spec
 * table: manager 1.15.
 */
import type { Position } from "../../core/problem.ts";
import { type Config, type ConfigOf, configKey } from "../../model/config.ts";
import type { Service, ServiceEntry, ServiceInstance, WorkloadEntry } from "../../model/service.ts";
import { compare } from "../order.ts";
import { isSubset } from "../translate/labels.ts";
import { mergeRegistries, type Registry } from "./registry.ts";

/** The name under which its services are shown. */
export const STATIC_REGISTRY = "file";

/** Of workloads whose proxies take mutual TLS: "istio". */
const TLS_MODE = "security.istio.io/tlsMode";

/** Entries by rising key: where two name one host, the first says what it is. */
export function staticRegistryOf(configs: readonly Config[]): Registry {
  const sorted = configs.toSorted((a, b) => compare(configKey(a), configKey(b)));
  const workloads = sorted.filter((config) => config.kind === "WorkloadEntry");
  const entries = sorted.filter((config) => config.kind === "ServiceEntry");
  const registries = entries.map((entry) => registryOf(entry, workloads));
  const origins = registries.toReversed().flatMap((registry) => [...registry.origins]);
  const whole: Registry = {
    services: registries.flatMap((registry) => registry.services),
    instances: registries.flatMap((registry) => registry.instances),
    origins: new Map(origins),
  };
  return mergeRegistries([whole]);
}

interface Named {
  readonly workload: string;
  readonly entry: WorkloadEntry;
}

function registryOf(
  config: ConfigOf<"ServiceEntry">,
  workloads: readonly ConfigOf<"WorkloadEntry">[],
): Registry {
  const { spec, meta } = config;
  const services = spec.hosts.map((host) => serviceOf(host.toLowerCase(), config));
  const selector = spec.workloadSelector;
  const named: readonly Named[] =
    selector === undefined
      ? spec.endpoints.map((entry, i) => ({ workload: `${meta.name}-${i}`, entry }))
      : workloads
          .filter(
            ({ meta: { namespace }, spec: { labels } }) =>
              namespace === meta.namespace && isSubset(selector, labels),
          )
          .map((workload) => ({ workload: workload.meta.name, entry: workload.spec }));
  const instances = services.flatMap((service) => instancesOf(service, spec, named));
  const origins = new Map<string, Position>(services.map(({ host }) => [host, config.origin]));
  return { services, instances, origins };
}

function serviceOf(host: string, { spec, meta }: ConfigOf<"ServiceEntry">): Service {
  return {
    host,
    namespace: meta.namespace,
    addresses: spec.addresses,
    ports: spec.ports.map(({ name, number, protocol }) => ({ name, number, protocol })),
    resolution: resolutionOf(spec),
    external: spec.location === "MESH_EXTERNAL",
    registry: STATIC_REGISTRY,
  };
}

function resolutionOf({ resolution }: ServiceEntry): Service["resolution"] {
  switch (resolution) {
    case "STATIC":
      return "STATIC";
    case "DNS":
    case "DNS_ROUND_ROBIN":
      return "DNS";
    case "NONE":
    case "DYNAMIC_DNS":
      return "NONE";
  }
}

/** A service that is resolved by name and lists nobody is found under its own name. */
function instancesOf(
  service: Service,
  spec: ServiceEntry,
  named: readonly Named[],
): readonly ServiceInstance[] {
  if (service.resolution === "NONE") return [];
  const self = {
    ...{ address: service.host, ports: {}, labels: {}, locality: "", weight: 0 },
    serviceAccount: "",
  };
  const endpoints: readonly { workload: string; entry: Pick<WorkloadEntry, keyof typeof self> }[] =
    named.length === 0 && service.resolution === "DNS" && spec.workloadSelector === undefined
      ? [{ workload: service.host, entry: self }]
      : named;
  const isItself = endpoints !== named;
  return endpoints.flatMap(({ workload, entry }) =>
    spec.ports.map((port) => ({
      host: service.host,
      address: entry.address,
      port: entry.ports[port.name] ?? port.targetPort ?? port.number,
      servicePort: port.number,
      labels: entry.labels,
      locality: entry.locality,
      weight: entry.weight || 1,
      healthy: true,
      workload,
      ...(!isItself && { namespace: service.namespace }),
      ...(entry.serviceAccount !== "" && { serviceAccount: entry.serviceAccount }),
      ...(entry.labels[TLS_MODE] === "istio" && { mutualTls: true }),
    })),
  );
}
