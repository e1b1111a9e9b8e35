/**
 * HTTP to external services by way of an egress proxy (MeshConfig's egressProxyAddress). Their
 * clusters hold that address alone, and requests name the service in full, since the egress proxy
 * goes by Host. It originates TLS where the service speaks it. Spec table: manager 1.8.
 */
import { create } from "@bufbuild/protobuf";
import { RewriteSchema, type Route } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Service } from "../../model/service.ts";
import { isHttpPort } from "./catalog.ts";
import { authorityOf, fullHostName } from "./host-name.ts";
import type { RuleSet } from "./rule-set.ts";
import type { NodeView } from "./source.ts";

/** Undefined: directly. So calls whoever is the egress proxy itself. */
export function egressProxyOf({ settings, domain }: RuleSet, node: NodeView): string | undefined {
  const { egressProxyAddress: address } = settings;
  if (address === "") return undefined;
  const own = fullHostName(splitAddress(address).address, node.namespace, domain);
  return own === node.service ? undefined : address;
}

/** "istio-egress:80", "[::1]:80" */
export function splitAddress(text: string): { readonly address: string; readonly port: number } {
  const colon = text.lastIndexOf(":");
  return {
    address: text.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(text.slice(colon + 1)),
  };
}

/** Whether requests for that port go by way of an egress proxy, if there is one. */
export function isProxied(service: Service | undefined, port: number): boolean {
  if (service?.external !== true) return false;
  const found = service.ports.find(({ number }) => number === port);
  return found !== undefined && (isHttpPort(found) || found.protocol === "HTTPS");
}

/**
 * What an egress proxy is asked for: without a port that is 80, or 443 if the service has no port
 * 80. A wildcard is no name to ask for.
 */
export function proxiedAuthority({ host, ports }: Service, port: number): string | undefined {
  if (host.startsWith("*")) return undefined;
  const usual = ports.some(({ number }) => number === 80) ? 80 : 443;
  return port === usual ? authorityOf(host) : `${authorityOf(host)}:${port}`;
}

/**
 * The route with the one Host that all its clusters are asked for, unless a rule says another.
 * Where they differ, Host is what the caller wrote: no route can rewrite it in two ways.
 */
export function withAuthority(
  route: Route,
  authorityOfCluster: (name: string) => string | undefined,
): Route {
  if (route.action.case !== "forward" || (route.rewrite?.authority ?? "") !== "") return route;
  const names = route.action.value.clusters.map(({ cluster }) => authorityOfCluster(cluster));
  const [authority, ...others] = new Set(names);
  if (authority === undefined || others.length > 0) return route;
  const uri = route.rewrite?.uri ?? "";
  return { ...route, rewrite: create(RewriteSchema, { uri, authority }) };
}
