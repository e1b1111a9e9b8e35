/**
 * What is not HTTP, as destinations of connections: ports of services, told apart by address, by
 * the name that TLS asks for, or by the port alone; and addresses outside of the mesh. Rules speak
 * of them by `match.tcp` only. Spec tables: manager 1.3, 1.5, 1.8, 4.3.
 */
import { create } from "@bufbuild/protobuf";
import {
  type TcpDestination,
  TcpDestinationSchema,
  type TcpRoute,
  TcpRouteSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ConfigOf } from "../../model/config.ts";
import type { EgressPort } from "../../model/egress-rule.ts";
import type { RouteRuleMatch } from "../../model/route-rule.ts";
import type { Service, ServicePort } from "../../model/service.ts";
import { originOf } from "./origin.ts";
import { type UseCluster, weightedClusters } from "./route.ts";
import type { RuleSet } from "./rule-set.ts";
import { isSource, type NodeView } from "./source.ts";

export interface TcpContext {
  readonly rules: RuleSet;
  readonly node: NodeView;
  /** The cluster of a destination at the port in question. */
  readonly use: UseCluster;
  /** The version of the PROXY protocol with which a cluster's endpoints are greeted; 0: none. */
  readonly greeting?: (cluster: string) => number;
}

/** UDP is neither requests nor connections. */
export function isTcpPort({ protocol }: ServicePort): boolean {
  return isTls(protocol) || connections.has(protocol);
}

const connections: ReadonlySet<string> = new Set(["TCP", "MONGO", "REDIS", "MYSQL"]);

function isTls(protocol: ServicePort["protocol"]): boolean {
  return protocol === "TLS" || protocol === "HTTPS";
}

/** `names`: by which a caller may ask for the service. */
export function tcpDestinationOf(
  service: Service,
  port: ServicePort,
  names: readonly string[],
  context: TcpContext,
): TcpDestination {
  const { host, addresses } = service;
  return create(TcpDestinationSchema, {
    name: `${host}:${port.number}`,
    port: port.number,
    addresses: [...addresses],
    // Without an address of its own the name is what tells it from others at that port.
    serverNames: isTls(port.protocol) && addresses.length === 0 ? [...names] : [],
    routes: tcpRoutesOf(host, context),
  });
}

/** TCP to an address or a block, TLS to a name; undefined: HTTP, which is routed by request. */
export function tcpEgressOf(
  egress: ConfigOf<"EgressRule">,
  { port, protocol }: EgressPort,
  context: TcpContext,
): TcpDestination | undefined {
  const host = egress.spec.service;
  const isConnection = protocol === "tcp" || protocol === "mongo";
  if (!isConnection && protocol !== "https") return undefined;
  const isAddress = /^[\d./]+$/.test(host);
  return create(TcpDestinationSchema, {
    name: `${host}:${port}`,
    port,
    addresses: isAddress ? [host] : [],
    serverNames: isAddress ? [] : [host],
    routes: [defaultTcpRoute(context.use({ host, labels: {} }))],
  });
}

/**
 * By precedence, up to the first that takes all; without one, the default closes the list. Of
 * clusters that are greeted in different ways the first one's counts for the route.
 */
export function tcpRoutesOf(host: string, context: TcpContext): TcpRoute[] {
  const { greeting } = context;
  const routes = ungreetedRoutesOf(host, context);
  if (greeting === undefined) return routes;
  return routes.map((route) => ({ ...route, proxyProtocol: greeting(route.clusters[0]!.cluster) }));
}

function ungreetedRoutesOf(host: string, { rules, node, use }: TcpContext): TcpRoute[] {
  const routes: TcpRoute[] = [];
  for (const rule of rules.routeRules.get(host) ?? []) {
    const { match } = rule.spec;
    if (match.tcp === undefined || asksForRequests(match)) continue;
    if (!isSource(match.source, node)) continue;
    const { sourceSubnets, destinationSubnets } = match.tcp;
    routes.push(
      create(TcpRouteSchema, {
        name: `${rule.meta.namespace}/${rule.meta.name}`,
        origin: originOf(rule),
        destinationSubnets: [...destinationSubnets],
        sourceSubnets: [...sourceSubnets],
        clusters: weightedClusters(rule.spec, use),
      }),
    );
    if (sourceSubnets.length === 0 && destinationSubnets.length === 0) return routes;
  }
  return [...routes, defaultTcpRoute(use({ host, labels: {} }))];
}

function defaultTcpRoute(cluster: string): TcpRoute {
  return create(TcpRouteSchema, { name: "default-route", clusters: [{ cluster, weight: 100 }] });
}

/** Conditions that no connection can meet, since they are on requests. */
function asksForRequests({ uri, scheme, method, authority, headers }: RouteRuleMatch): boolean {
  const parts = [uri, scheme, method, authority];
  return parts.some((part) => part !== undefined) || Object.keys(headers).length > 0;
}
