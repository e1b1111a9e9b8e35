/** Virtual hosts of the configuration ─▶ the host table and the routes behind it. */
import type { VirtualHost as VirtualHostResource } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { type HostEntry, HostTable } from "../route/host-table.ts";
import { RouteIndex } from "../route/route-index.ts";
import { VirtualHost } from "../route/virtual-host.ts";
import { type CompiledRoute, compileRoute } from "./compile-route.ts";
import { isSame } from "./is-same.ts";
import type { ProblemList } from "./problem-list.ts";
import type { Snapshot } from "./snapshot.ts";

const DOMAIN_BYTES_MAX = 300;
const domainPattern = /^(?:\*|\*?[a-z0-9._\-[\]:]+)$/;

export interface CompiledHosts {
  /** Of the outbound listener. */
  readonly table: HostTable<VirtualHost>;
  /** Of a gateway's listeners, by name. */
  readonly edges: ReadonlyMap<string, HostTable<VirtualHost>>;
  readonly virtualHosts: readonly VirtualHost[];
}

export function compileHosts(
  resources: readonly VirtualHostResource[],
  clusters: ReadonlyMap<string, Cluster>,
  former: Snapshot | undefined,
  problems: ProblemList,
): CompiledHosts {
  const reusable = new Reusable(former, clusters);
  const unchanged = reusable.all(resources);
  if (unchanged !== undefined) return unchanged;
  const entries = new Map<string, HostEntry<VirtualHost>[]>([["", []]]);
  const owners = new Map<string, string>();
  const names = new Set<string>();
  const virtualHosts = resources.map((resource) => {
    const here = problems.at(`virtual_hosts[${resource.name}]`);
    if (names.has(resource.name)) here.add("another virtual host has this name");
    names.add(resource.name);
    const host = reusable.find(resource) ?? compileHost(resource, clusters, here);
    const { listener } = resource;
    const own = entries.get(listener) ?? [];
    entries.set(listener, own);
    for (const [i, written] of resource.domains.entries()) {
      const domain = written.toLowerCase();
      const owner = owners.get(`${listener}|${domain}`);
      const place = here.at(`domains[${i}]`);
      if (owner !== undefined) place.add(`"${domain}" is a domain of "${owner}" already`);
      else if (domain.length > DOMAIN_BYTES_MAX || !domainPattern.test(domain))
        place.add(`"${domain}" is not a host, host:port or "*" before the end of one`);
      else own.push({ domain, value: host });
      owners.set(`${listener}|${domain}`, resource.name);
    }
    return host;
  });
  const edges = new Map(Array.from(entries, ([name, own]) => [name, new HostTable(own)]));
  const table = edges.get("")!;
  edges.delete("");
  return { table, edges, virtualHosts };
}

function compileHost(
  resource: VirtualHostResource,
  clusters: ReadonlyMap<string, Cluster>,
  problems: ProblemList,
): VirtualHost {
  const compiled: CompiledRoute[] = [];
  for (const [i, route] of resource.routes.entries()) {
    const name = route.name === "" ? String(i) : route.name;
    const one = compileRoute(route, clusters, problems.at(`routes[${name}]`, route.origin));
    if (one !== undefined) compiled.push(one);
  }
  const index = new RouteIndex(
    compiled.map(({ route }) => route),
    compiled.map(({ condition }) => condition),
  );
  return new VirtualHost(resource.name, resource.domains, index);
}

/** Virtual hosts of the former snapshot that may serve again as they are. */
class Reusable {
  readonly #clusters: ReadonlyMap<string, Cluster>;
  readonly #former: Snapshot | undefined;
  readonly #byName = new Map<string, { resource: VirtualHostResource; host: VirtualHost }>();

  constructor(former: Snapshot | undefined, clusters: ReadonlyMap<string, Cluster>) {
    this.#clusters = clusters;
    this.#former = former;
    former?.virtualHosts.forEach((host, i) => {
      this.#byName.set(host.name, { resource: former.config.virtualHosts[i]!, host });
    });
  }

  /** The former table, if nothing at all has changed: most often only endpoints do. */
  all(resources: readonly VirtualHostResource[]): CompiledHosts | undefined {
    const former = this.#former;
    if (former?.virtualHosts.length !== resources.length) return undefined;
    const { virtualHosts, hosts, edgeHosts } = former;
    const same = resources.every((resource, i) => this.find(resource) === virtualHosts[i]);
    return same ? { table: hosts, edges: edgeHosts, virtualHosts } : undefined;
  }

  /** If its content is equal and all clusters it refers to are the former objects. */
  find(resource: VirtualHostResource): VirtualHost | undefined {
    const known = this.#byName.get(resource.name);
    if (known === undefined) return undefined;
    return isSame(known.resource, resource) &&
      namesOf(resource).every((name) => this.#isFormer(name))
      ? known.host
      : undefined;
  }

  #isFormer(name: string): boolean {
    const cluster = this.#clusters.get(name);
    return cluster !== undefined && cluster === this.#former?.clusters.get(name);
  }
}

/** Clusters that its routes refer to. */
function namesOf(resource: VirtualHostResource): string[] {
  return resource.routes.flatMap(({ action, mirror }) => [
    ...(action.case === "forward" ? action.value.clusters.map(({ cluster }) => cluster) : []),
    ...(mirror === undefined ? [] : [mirror.cluster]),
  ]);
}
