/**
 * `--upstream svc=addr:port` as configuration: one cluster and one virtual host for each service,
 * which stand whatever the manager says. Several entries for one service are its endpoints.
 */
import { create } from "@bufbuild/protobuf";
import {
  Cluster_Discovery,
  Cluster_Protocol,
  LoadBalancer,
  type ProxyConfig,
  ProxyConfigSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { type StaticUpstream, serviceName } from "../flags.ts";

export interface StaticScope {
  readonly namespace: string;
  readonly domain: string;
}

export function staticConfig(
  upstreams: readonly StaticUpstream[],
  scope: StaticScope,
): ProxyConfig {
  const config = create(ProxyConfigSchema, { version: "static" });
  for (const [name, endpoints] of Map.groupBy(upstreams, ({ service }) => service)) {
    const colon = name.indexOf(":");
    const host = colon === -1 ? name : name.slice(0, colon);
    const port = colon === -1 ? endpoints[0]!.port : Number(name.slice(colon + 1));
    const { service } = serviceName(host, scope.namespace, scope.domain);
    const cluster = `static|${port}||${service}`;
    const numeric = endpoints.every(({ hostname }) => isAddress(hostname));
    const origin = { file: "command line", object: `--upstream ${name}` };
    const added = create(ProxyConfigSchema, {
      clusters: [
        {
          name: cluster,
          service,
          port,
          discovery: numeric ? Cluster_Discovery.ENDPOINTS : Cluster_Discovery.DNS,
          protocol: Cluster_Protocol.HTTP,
          loadBalancer: LoadBalancer.ROUND_ROBIN,
          connectTimeoutMs: 1000,
          origins: [origin],
        },
      ],
      endpointSets: [
        {
          cluster,
          endpoints: endpoints.map(({ hostname, port: endpointPort }) => ({
            address: hostname,
            port: endpointPort,
            weight: 1,
          })),
        },
      ],
      virtualHosts: [
        {
          name: colon === -1 ? service : `${service}:${port}`,
          domains: domains(host, service, { port, bare: colon === -1 }),
          routes: [
            {
              name: `--upstream ${name}`,
              origin,
              websocket: true,
              action: { case: "forward", value: { clusters: [{ cluster, weight: 100 }] } },
            },
          ],
        },
      ],
    });
    config.clusters.push(...added.clusters);
    config.endpointSets.push(...added.endpointSets);
    config.virtualHosts.push(...added.virtualHosts);
  }
  return config;
}

/**
 * `under` where `over` says nothing: a domain, cluster or endpoint set of `over` wins. What an
 * operator wrote on the command line is `over`.
 */
export function overlay(over: ProxyConfig, under: ProxyConfig | undefined): ProxyConfig {
  if (under === undefined) return over;
  if (over.virtualHosts.length === 0) return under;
  const taken = new Set(over.virtualHosts.flatMap(({ domains: own }) => own));
  const named = new Set(over.virtualHosts.map(({ name }) => name));
  const rest = under.virtualHosts
    .map((host) => {
      const left = host.domains.filter((domain) => !taken.has(domain));
      const name = named.has(host.name) ? `${host.name} (manager)` : host.name;
      return { ...host, name, domains: left };
    })
    .filter(({ domains: left }) => left.length > 0);
  return create(ProxyConfigSchema, {
    version: under.version,
    ...(under.settings === undefined ? {} : { settings: under.settings }),
    virtualHosts: [...over.virtualHosts, ...rest],
    clusters: [...over.clusters, ...under.clusters],
    endpointSets: [...over.endpointSets, ...under.endpointSets],
    tcpDestinations: [...over.tcpDestinations, ...under.tcpDestinations],
  });
}

/** Each name by which callers may know it, bare and with the port. */
function domains(
  written: string,
  service: string,
  at: { readonly port: number; readonly bare: boolean },
): string[] {
  const parts = service.split(".");
  const names = new Set([written, service]);
  if (parts[2] === "svc") {
    names.add(parts[0]!);
    names.add(parts.slice(0, 2).join("."));
    names.add(parts.slice(0, 3).join("."));
  }
  const all = [...names];
  const withPort = all.map((name) => `${name}:${at.port}`);
  return at.bare ? [...all, ...withPort] : withPort;
}

function isAddress(hostname: string): boolean {
  return /^[0-9.]+$/.test(hostname) || hostname.includes(":");
}
