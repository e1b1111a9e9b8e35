/**
 * What is well formed about who may call whom, and yet will not do what its author thinks, with who
 * is there: selectors that select nobody, ports that nobody has, rules about requests where there
 * are none, callers and callees that cannot agree on TLS.
 */

import type { Problem } from "../core/problem.ts";
import { asksOfRequests, portsOf } from "../dialect/security/tcp-width.ts";
import type { Config, ConfigOf } from "../model/config.ts";
import type { Service, ServiceInstance } from "../model/service.ts";
import { warning } from "./config-warning.ts";
import type { Registry } from "./registry/registry.ts";
import { mutualTlsOf } from "./translate/access.ts";
import { isFor } from "./translate/access-object.ts";
import { accessSetOf } from "./translate/access-set.ts";
import { isHttpPort } from "./translate/catalog.ts";
import { formatLabels } from "./translate/labels.ts";
import type { NodeView } from "./translate/source.ts";

/** One workload with what it may be selected by. */
interface Known {
  readonly node: NodeView;
  readonly instance: ServiceInstance;
  readonly service: Service | undefined;
}

type AccessKind = "PeerAuthentication" | "RequestAuthentication" | "AuthorizationPolicy";

export function accessWarnings(
  configs: readonly Config[],
  registry: Registry,
  { all, domain }: { readonly all: readonly Config[]; readonly domain: string },
): readonly Problem[] {
  const objects = configs.filter(
    (config): config is ConfigOf<AccessKind | "DestinationRule"> =>
      config.kind === "PeerAuthentication" ||
      config.kind === "RequestAuthentication" ||
      config.kind === "AuthorizationPolicy" ||
      config.kind === "DestinationRule",
  );
  if (objects.length === 0 || registry.instances.length === 0) return [];
  const services = new Map(registry.services.map((service) => [service.host, service]));
  const workloads = registry.instances.map((instance): Known => {
    const service = services.get(instance.host);
    const namespace = instance.namespace ?? service?.namespace ?? "";
    const node = { service: instance.host, namespace, labels: instance.labels };
    return { node, instance, service };
  });
  const set = accessSetOf(all, domain, () => 0);
  return objects.flatMap((config) => {
    if (config.kind === "DestinationRule") return disagreements(config, workloads, set);
    const object = { object: "", namespace: config.meta.namespace, origin: config.origin };
    const selected = workloads.filter(({ node }) =>
      isFor({ ...object, spec: config.spec }, node, set),
    );
    return selected.length === 0
      ? selectsNobody(config, workloads)
      : [...unknownPorts(config, selected), ...notOfRequests(config, selected)];
  });
}

/** Gateways do not register: who has no labels to be known by may be one. */
function selectsNobody(
  config: ConfigOf<AccessKind>,
  workloads: readonly Known[],
): readonly Problem[] {
  const { namespace } = config.meta;
  const { selector } = config.spec;
  if (selector === undefined) return unknownReferences(config, workloads);
  const isInhabited = workloads.some(({ node }) => node.namespace === namespace);
  if (!isInhabited) return [];
  const message = `selects nobody: no workload has ${formatLabels(selector)}`;
  return [warning(config, "spec.selector", message)];
}

function unknownReferences(
  config: ConfigOf<AccessKind>,
  workloads: readonly Known[],
): readonly Problem[] {
  const { references = [] } = "references" in config.spec ? config.spec : {};
  return references
    .filter(({ kind }) => kind === "Service")
    .filter(({ name }) => {
      const start = `${name}.${config.meta.namespace}.svc`;
      return !workloads.some(({ node }) => node.service.startsWith(start));
    })
    .map(({ name }) =>
      warning(config, "spec.targetRefs", `no workload of service ${name} is known`),
    );
}

function unknownPorts(config: ConfigOf<AccessKind>, selected: readonly Known[]): Problem[] {
  const known = new Set(
    selected.flatMap(({ instance }) => [instance.servicePort, instance.appPort ?? 0]),
  );
  const unknown = portsSaid(config).filter((port) => !known.has(Number(port)));
  if (unknown.length === 0) return [];
  const listed = [...known].filter((port) => port > 0).sort((a, b) => a - b);
  const which = [...new Set(unknown)].join(", ");
  const message = `port ${which} is none of those whom it selects: ${listed.join(", ")}`;
  const path = config.kind === "PeerAuthentication" ? "spec.portLevelMtls" : "spec.rules";
  return [warning(config, path, message)];
}

function portsSaid(config: ConfigOf<AccessKind>): readonly string[] {
  if (config.kind === "PeerAuthentication") return Object.keys(config.spec.ports);
  if (config.kind === "RequestAuthentication") return [];
  return config.spec.rules.flatMap((rule) => portsOf(rule) ?? []);
}

/** An ALLOW rule of requests alone closes a port that carries none. */
function notOfRequests(config: ConfigOf<AccessKind>, selected: readonly Known[]): Problem[] {
  if (config.kind !== "AuthorizationPolicy" || config.spec.action !== "ALLOW") return [];
  const { rules } = config.spec;
  if (rules.length === 0 || !rules.every(asksOfRequests)) return [];
  const tcp = selected.find(({ instance, service }) => {
    const port = service?.ports.find(({ number }) => number === instance.servicePort);
    return port !== undefined && !isHttpPort(port);
  });
  if (tcp === undefined) return [];
  const { host, servicePort } = tcp.instance;
  const message = `asks of requests: it allows nothing at ${host}:${servicePort}, which is TCP`;
  return [warning(config, "spec.rules", message)];
}

/** Callers are told to speak plaintext, or TLS of their own, to who wants mutual TLS. */
function disagreements(
  config: ConfigOf<"DestinationRule">,
  workloads: readonly Known[],
  set: Parameters<typeof mutualTlsOf>[0],
): readonly Problem[] {
  const { host, trafficPolicy } = config.spec;
  const mode = trafficPolicy?.tls?.mode;
  if (mode === undefined) return [];
  const called = workloads.filter(({ instance }) => instance.host === host);
  const modes = called.map(({ node }) => mutualTlsOf(set, node));
  const strict = modes.find((one) => one.mode === "STRICT");
  const disabled = modes.find((one) => one.mode === "DISABLE");
  if (mode !== "ISTIO_MUTUAL" && strict !== undefined) {
    const message = `${mode} is refused: ${strict.origin?.object} is STRICT`;
    return [warning(config, "spec.trafficPolicy", message)];
  }
  if (mode === "ISTIO_MUTUAL" && disabled !== undefined) {
    const message = `${mode} calls nobody: ${disabled.origin?.object} is DISABLE`;
    return [warning(config, "spec.trafficPolicy", message)];
  }
  return [];
}
