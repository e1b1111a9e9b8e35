/**
 * What one service, or one egress rule, contributes to a proxy's configuration: its virtual hosts
 * and the clusters that their routes name. A plan depends on nothing but the hosts in `hosts`, the
 * rules for them and the settings, so it stays good until one of those changes.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Cluster,
  Cluster_Discovery,
  type TcpDestination,
  type VirtualHost,
  VirtualHostSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ConfigOf } from "../../model/config.ts";
import type { EgressPort } from "../../model/egress-rule.ts";
import type { ServiceRef } from "../../model/route-rule.ts";
import type { Service, ServicePort } from "../../model/service.ts";
import { askedAuthorizers } from "./access-names.ts";
import { type Catalog, isHttpPort, originatesTls } from "./catalog.ts";
import { type ClusterKey, clusterName, clusterOf, makeCluster } from "./cluster.ts";
import { egressProxyOf, isProxied, proxiedAuthority, withAuthority } from "./egress-proxy.ts";
import { authorityOf, callableNames } from "./host-name.ts";
import { defaultRoute, isCatchAll, routeOf, tunnelRoute, type UseCluster } from "./route.ts";
import type { RuleSet } from "./rule-set.ts";
import { isSource, type NodeView } from "./source.ts";
import { isTcpPort, tcpDestinationOf, tcpEgressOf } from "./tcp-route.ts";
import { trafficOf } from "./traffic.ts";

export interface Plan {
  readonly virtualHosts: readonly VirtualHost[];
  readonly tcpDestinations: readonly TcpDestination[];
  readonly clusters: readonly { readonly key: ClusterKey; readonly cluster: Cluster }[];
  /** Every host that was looked at, whether it exists or not. */
  readonly hosts: ReadonlySet<string>;
}

/** What every plan of one view is made from. */
export interface PlanContext {
  readonly rules: RuleSet;
  readonly catalog: Catalog;
  readonly node: NodeView;
}

const EGRESS_HTTP: ReadonlySet<string> = new Set(["http", "http2", "grpc", "https"]);

export function planService(service: Service, context: PlanContext): Plan {
  const clusters = new ClusterCollector(context);
  const httpPorts = service.ports.filter(isHttpPort);
  const virtualHosts = httpPorts.map((port) => {
    const use: UseCluster = (destination) => clusters.use(destination, port.number);
    const bare = port.number === 80 || httpPorts.length === 1;
    return create(VirtualHostSchema, {
      name: `${service.host}:${port.number}`,
      domains: domainsOf(service, context).flatMap((name) =>
        bare ? [name, `${name}:${port.number}`] : [`${name}:${port.number}`],
      ),
      routes: routesOf(service.host, use, context).map((route) =>
        withAuthority(route, (name) => clusters.authority(name)),
      ),
    });
  });
  const tcpPorts = service.ports.filter(isTcpPort);
  for (const port of tcpPorts)
    virtualHosts.push(tunnelHostOf(service, port, { ...context, clusters }));
  const names = callableNames(service.host, context.node.namespace, context.rules.domain);
  const tcpDestinations = tcpPorts.map((port) => {
    const use: UseCluster = (destination) => clusters.use(destination, port.number, true);
    const greeting = (name: string) => clusters.greeting(name);
    return tcpDestinationOf(service, port, names, { ...context, use, greeting });
  });
  // Names are followed before a route leads to them: one that is new has no address for a while.
  if (service.resolution === "DNS")
    for (const port of httpPorts) clusters.use({ host: service.host, labels: {} }, port.number);
  // Whom the proxy asks by itself, whatever routes say.
  for (const { host, port } of askedAuthorizers(context.rules))
    if (host === service.host) clusters.use({ host, labels: {} }, port);
  const { clusters: used, hosts } = clusters.collected();
  return {
    virtualHosts,
    tcpDestinations,
    clusters: used,
    hosts: new Set([service.host, ...hosts]),
  };
}

/**
 * What is not HTTP, and plain HTTP to a port of HTTPS: this proxy makes it that, or the egress
 * proxy does.
 */
function tunnelHostOf(
  service: Service,
  { number }: ServicePort,
  context: PlanContext & { readonly clusters: ClusterCollector },
): VirtualHost {
  const { clusters } = context;
  const all = { host: service.host, labels: {} };
  const direct = clusters.use(all, number, true);
  const names = domainsOf(service, context);
  const host = tunnelHost(service.host, number, names, direct);
  const use: UseCluster = (destination) => clusters.use(destination, number);
  if (use(all) === direct) return host;
  const routes = routesOf(service.host, use, context).map((route) =>
    withAuthority(route, (name) => clusters.authority(name)),
  );
  host.routes.push(...routes);
  const requests = service.ports.filter((one) => isHttpPort(one) || originatesTls(service, one));
  if (requests.length === 1) host.domains.unshift(...names);
  return host;
}

/** What is not HTTP passes by CONNECT, which must name the port; no rule speaks of it. */
function tunnelHost(
  host: string,
  port: number,
  names: readonly string[],
  cluster: string,
): VirtualHost {
  return create(VirtualHostSchema, {
    name: `${host}:${port}`,
    domains: names.map((name) => `${name}:${port}`),
    routes: [tunnelRoute(cluster)],
  });
}

/** HTTP to a host outside: its own name resolved, rules for it obeyed but for their clusters. */
export function planEgress(egress: ConfigOf<"EgressRule">, context: PlanContext): Plan {
  const host = egress.spec.service;
  const ports = egress.spec.ports.filter(({ protocol }) => EGRESS_HTTP.has(protocol));
  const tunnels = egress.spec.ports.filter(
    ({ protocol }) => !EGRESS_HTTP.has(protocol) || protocol === "https",
  );
  const clusters = new EgressClusters(egress, context);
  const virtualHosts = ports.map((one) => {
    const { port, protocol } = one;
    return create(VirtualHostSchema, {
      name: `${host}:${port}`,
      domains: port === 80 || ports.length === 1 ? [host, `${host}:${port}`] : [`${host}:${port}`],
      routes: [
        // Who speaks TLS himself is let through, as before this proxy could make it for others.
        ...(protocol === "https" ? [tunnelRoute(clusters.use(one, true))] : []),
        ...routesOf(host, () => clusters.use(one), context),
      ],
    });
  });
  // An address or a block is captured, not named: its connections come with transparent capture.
  if (!/^[\d./]+$/.test(host))
    for (const one of tunnels.filter(({ protocol }) => protocol !== "https"))
      virtualHosts.push(tunnelHost(host, one.port, [host], clusters.use(one, true)));
  const tcpDestinations = tunnels.flatMap((one) => {
    const use: UseCluster = () => clusters.use(one, true);
    return tcpEgressOf(egress, one, { ...context, use }) ?? [];
  });
  return {
    virtualHosts,
    tcpDestinations,
    clusters: clusters.collected(),
    hosts: new Set([host]),
  };
}

/** The clusters of one egress rule: where requests say, resolved by the proxy. */
class EgressClusters {
  readonly #host: string;
  readonly #context: PlanContext;
  readonly #clusters = new Map<string, { key: ClusterKey; cluster: Cluster }>();

  constructor({ spec }: ConfigOf<"EgressRule">, context: PlanContext) {
    this.#host = spec.service;
    this.#context = context;
  }

  /** `tunnel`: for connections that are passed on as they are. */
  use({ port, protocol }: EgressPort, tunnel = false): string {
    const host = this.#host;
    const { rules, node } = this.#context;
    const isTls = protocol === "https";
    const isConnection = tunnel || !EGRESS_HTTP.has(protocol);
    const via = isConnection ? undefined : egressProxyOf(rules, node);
    const key: ClusterKey = {
      ...{ host, port, labels: {} },
      ...(tunnel && isTls && { tunnel }),
      ...(via !== undefined && { via }),
    };
    const name = clusterName(key);
    if (this.#clusters.has(name)) return name;
    const cluster = clusterOf(key, isTls ? outsideOf(host, port) : undefined, rules, node);
    if (via === undefined) cluster.discovery = Cluster_Discovery.ORIGINAL;
    this.#clusters.set(name, { key, cluster });
    return name;
  }

  collected(): Plan["clusters"] {
    return [...this.#clusters.values()];
  }
}

/** A host outside of the mesh, as the service that it would be. */
function outsideOf(host: string, port: number): Service {
  return {
    host,
    namespace: "",
    addresses: [],
    ports: [{ number: port, name: "https", protocol: "HTTPS" }],
    resolution: "NONE",
    external: true,
    registry: "egress",
  };
}

function domainsOf(service: Service, { node, rules }: PlanContext): readonly string[] {
  const names = callableNames(service.host, node.namespace, rules.domain);
  const addresses = service.addresses.filter((address) => !address.includes("/"));
  return [...names, ...addresses.map(authorityOf)];
}

/** By precedence, up to the first catch-all; without one, the default route closes the list. */
export function routesOf(host: string, use: UseCluster, { rules, node }: PlanContext) {
  const routes = [];
  for (const rule of rules.routeRules.get(host) ?? []) {
    const { match } = rule.spec;
    // Conditions on TCP connections hold for no HTTP request.
    if (match.tcp !== undefined || !isSource(match.source, node)) continue;
    routes.push(routeOf(rule, use));
    if (isCatchAll(match)) return routes;
  }
  return [...routes, defaultRoute(use({ host, labels: {} }))];
}

/** Makes each cluster that is named once, and remembers which hosts were looked at. */
export class ClusterCollector {
  readonly #context: PlanContext;
  readonly #via: string | undefined;
  readonly #clusters = new Map<string, { key: ClusterKey; cluster: Cluster }>();
  readonly #hosts = new Set<string>();

  constructor(context: PlanContext) {
    this.#context = context;
    this.#via = egressProxyOf(context.rules, context.node);
  }

  /** `tunnel`: for connections, which no egress proxy takes. */
  use(destination: ServiceRef, calledPort: number, tunnel = false): string {
    const { rules, catalog, node } = this.#context;
    const service = catalog.service(destination.host);
    const port = portOf(service, calledPort);
    const proxied = this.#via !== undefined && isProxied(service, port);
    const called = service?.ports.find(({ number }) => number === port);
    const originated = called !== undefined && originatesTls(service, called);
    const key: ClusterKey = {
      host: destination.host,
      labels: destination.labels,
      port,
      ...(tunnel ? (proxied || originated) && { tunnel } : proxied && { via: this.#via }),
    };
    const name = clusterName(key);
    this.#hosts.add(destination.host);
    if (!this.#clusters.has(name)) this.#clusters.set(name, makeCluster(key, service, rules, node));
    return name;
  }

  /** What the egress proxy is asked for, if the cluster leads there. */
  authority(name: string): string | undefined {
    const key = this.#clusters.get(name)?.key;
    const service = key && this.#context.catalog.service(key.host);
    return key?.via && service && proxiedAuthority(service, key.port);
  }

  /** As TcpContext has it. */
  greeting(name: string): number {
    const { rules, node } = this.#context;
    const key = this.#clusters.get(name)?.key;
    return (key && trafficOf(key, rules, node)?.proxyProtocol) ?? 0;
  }

  collected(): Pick<Plan, "clusters" | "hosts"> {
    return { clusters: [...this.#clusters.values()], hosts: this.#hosts };
  }
}

/** The port that was called; where the service has no such port, its only HTTP port. */
function portOf(service: Service | undefined, calledPort: number): number {
  if (service === undefined || service.ports.some(({ number }) => number === calledPort))
    return calledPort;
  const [only, ...more] = service.ports.filter(isHttpPort);
  return only !== undefined && more.length === 0 ? only.number : calledPort;
}
