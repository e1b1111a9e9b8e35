/** Destinations of connections that are passed on as they are ─▶ the table of their routes. */
import type {
  TcpDestination as DestinationResource,
  TcpRoute as RouteResource,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { AddressBlock } from "../tcp/address-block.ts";
import {
  type ConditionalTcpRoute,
  type TcpDestination,
  TcpRouteTable,
} from "../tcp/route-table.ts";
import type { TcpRoute } from "../tcp/tcp-route.ts";
import { compileWeights } from "./compile-action.ts";
import { formatOrigin, type ProblemList } from "./problem-list.ts";

const SERVER_NAME = /^(\*|[a-z0-9_*-]|(\*|[a-z0-9_*-])[a-z0-9_.-]*)$/;

export function compileTcp(
  resources: readonly DestinationResource[],
  clusters: ReadonlyMap<string, Cluster>,
  problems: ProblemList,
): TcpRouteTable {
  const names = new Set<string>();
  const destinations = resources.map((resource) => {
    const here = problems.at(`tcp_destinations[${resource.name}]`, resource.routes[0]?.origin);
    if (names.has(resource.name)) here.add("another destination has this name");
    names.add(resource.name);
    return compileDestination(resource, clusters, here);
  });
  return new TcpRouteTable(destinations);
}

function compileDestination(
  resource: DestinationResource,
  clusters: ReadonlyMap<string, Cluster>,
  problems: ProblemList,
): TcpDestination {
  const { name, port, addresses, serverNames } = resource;
  if (port > 65_535) problems.at("port").add(`${port} is not a port (0 to 65535)`);
  const odd = serverNames.find((one) => !SERVER_NAME.test(one) || one.length > 255);
  if (odd !== undefined) problems.at("server_names").add(`"${odd}" is not a host name`);
  return {
    name,
    port,
    addresses: compileBlocks(addresses, problems.at("addresses")),
    serverNames,
    routes: resource.routes.flatMap(
      (route, i) => compileRoute(route, clusters, problems.at(`routes[${i}]`, route.origin)) ?? [],
    ),
  };
}

function compileRoute(
  resource: RouteResource,
  clusters: ReadonlyMap<string, Cluster>,
  problems: ProblemList,
): ConditionalTcpRoute | undefined {
  const { name, origin, destinationSubnets, sourceSubnets, idleTimeoutMs: idleMs } = resource;
  const destinations = compileBlocks(destinationSubnets, problems.at("destination_subnets"));
  const sources = compileBlocks(sourceSubnets, problems.at("source_subnets"));
  const weighted = compileWeights(resource.clusters, clusters, problems);
  const proxyProtocol = versionOf(resource.proxyProtocol);
  if (proxyProtocol === undefined)
    problems.at("proxy_protocol").add(`${resource.proxyProtocol} is not a version (1 or 2)`);
  if (weighted === undefined || proxyProtocol === undefined) return undefined;
  const route = { name, origin: formatOrigin(origin), clusters: weighted, idleMs, proxyProtocol };
  return { route, destinations, sources };
}

function versionOf(number: number): TcpRoute["proxyProtocol"] | undefined {
  return number === 0 || number === 1 || number === 2 ? number : undefined;
}

function compileBlocks(texts: readonly string[], problems: ProblemList): readonly AddressBlock[] {
  return texts.flatMap((text) => {
    const block = AddressBlock.parse(text);
    if (block === undefined) problems.add(`"${text}" is not an IP address or block of addresses`);
    return block ?? [];
  });
}
