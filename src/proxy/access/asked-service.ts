/**
 * Whom a question goes to that this proxy asks by itself: the endpoints of a service, as requests
 * of the application would go to them.
 *
 *   cluster known ─┬─ a proxy of the mesh ─▶ mutual TLS, and it has to prove who it is
 *                  ├─ the cluster has TLS ─▶ by that
 *                  └─ else ────────────────▶ in plaintext
 *   none, a name or address from outside ──▶ there, in plaintext
 *   none, a name of the mesh ──────────────▶ nobody: whoever else the name leads to is not meant
 */
import type { ClientTls } from "../../io/tls-settings.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { serviceNameOf } from "../cluster/service-name.ts";
import type { MeshIdentity, MeshProtocol } from "../identity/mesh-identity.ts";
import { identityOf, mayCall } from "../upstream/pool.ts";
import type { UpstreamTls } from "../upstream/upstream-tls.ts";
import type { PublishedClusters, ServiceClusters } from "./service-clusters.ts";

/** One that may be asked; the same object as long as connections to it may be used. */
export interface AskedServer {
  readonly hostname: string;
  readonly port: number;
  readonly tls: ClientTls | undefined;
  /** Undefined: of no cluster. */
  readonly endpoint: Endpoint | undefined;
}

/** Nobody may be asked, in plain words. */
export interface NobodyAsked {
  readonly why: string;
}

export interface AskedServiceParts {
  /** Absent: nothing is known of any service. */
  readonly services?: ServiceClusters;
  /** Who we are to proxies of the mesh; absent: nobody. */
  readonly identity?: MeshIdentity;
}

export interface AskedPlace {
  /** A full host name, or an address. */
  readonly service: string;
  readonly port: number;
  /** What it is asked in. */
  readonly protocol: "http/1.1" | "h2";
}

const meshProtocols: Readonly<Record<AskedPlace["protocol"], MeshProtocol>> = {
  "http/1.1": "mesh-http/1.1",
  h2: "mesh-h2",
};

interface Kept {
  readonly server: AskedServer;
  /** Its cluster's; undefined: the cluster has none. */
  readonly by: UpstreamTls | undefined;
}

export class AskedService {
  readonly place: AskedPlace;
  readonly #parts: AskedServiceParts;
  readonly #servers = new WeakMap<Endpoint, Kept>();
  readonly #byName: AskedServer | NobodyAsked;
  readonly #name: Uint8Array;
  #published: PublishedClusters | undefined = undefined;
  #cluster: Cluster | undefined = undefined;

  constructor(place: AskedPlace, parts: AskedServiceParts) {
    const { service, port } = place;
    this.place = place;
    this.#parts = parts;
    this.#name = new TextEncoder().encode(service.includes(":") ? `[${service}]` : service);
    this.#byName =
      serviceNameOf(service).namespace === ""
        ? { hostname: service, port, tls: undefined, endpoint: undefined }
        : { why: `no service ${service} with port ${port} is known` };
  }

  /** "opa.default.svc.cluster.local:9191" */
  get authority(): string {
    const { service, port } = this.place;
    return service.includes(":") ? `[${service}]:${port}` : `${service}:${port}`;
  }

  /** Another than those that were tried, the last one last, if there is one. */
  pick(tried: readonly AskedServer[]): AskedServer | NobodyAsked {
    const cluster = this.#find();
    if (cluster === undefined) return this.#byName;
    const { service, port } = this.place;
    if (cluster.settings.viaEgressProxy)
      return { why: `${service} is behind an egress proxy, which answers for others too` };
    const endpoint = cluster.original
      ? cluster.pickOriginal(this.#name, 0, this.#name.length, port)
      : pickOther(cluster, tried);
    if (endpoint === undefined)
      return {
        why: cluster.lacksIdentities
          ? `nobody of ${service} could prove who it is`
          : `there is nobody of ${service}`,
      };
    if (!mayCall(endpoint, cluster, this.#parts.identity))
      return { why: `${service} is called by mutual TLS only, and this proxy has no identity` };
    return this.#serverAt(endpoint, cluster);
  }

  /** Connections to it are of use still. */
  isCurrent(server: AskedServer): boolean {
    const { endpoint } = server;
    const cluster = this.#find();
    if (endpoint === undefined) return cluster === undefined;
    return (
      cluster !== undefined && !endpoint.removed && this.#serverAt(endpoint, cluster) === server
    );
  }

  /** For a connection, of a question that may wait `timeoutMs` in all: others may be tried. */
  connectMs(timeoutMs: number): number {
    const cluster = this.#find();
    if (cluster === undefined) return timeoutMs;
    return Math.min(cluster.connectTimeoutMs, Math.ceil(timeoutMs / 2));
  }

  begin({ endpoint }: AskedServer): void {
    const cluster = this.#find();
    if (endpoint === undefined) return;
    if (cluster === undefined) endpoint.active++;
    else cluster.begin(endpoint);
  }

  end({ endpoint }: AskedServer): void {
    if (endpoint !== undefined) endpoint.active--;
  }

  /** `status`: as HTTP. */
  answered({ endpoint }: AskedServer, status: number, ms: number): void {
    if (endpoint !== undefined) this.#find()?.answered(endpoint, status, ms, 0);
  }

  failed({ endpoint }: AskedServer, timedOut: boolean): void {
    if (endpoint !== undefined) this.#find()?.failedLocally(endpoint, timedOut);
  }

  #find(): Cluster | undefined {
    const { services } = this.#parts;
    const published = services?.published;
    if (published !== this.#published) {
      const { service, port } = this.place;
      this.#published = published;
      this.#cluster = services?.find(service, port);
    }
    return this.#cluster;
  }

  #serverAt(endpoint: Endpoint, { tls: by }: Cluster): AskedServer {
    const { address: hostname, port } = endpoint;
    const { identity: own } = this.#parts;
    const { protocol } = this.place;
    const kept = this.#servers.get(endpoint);
    const identity = identityOf(endpoint, by, own);
    const mutual = identity === "" ? undefined : own?.clientTls(identity, meshProtocols[protocol]);
    if (kept !== undefined && kept.by === by && (by !== undefined || kept.server.tls === mutual))
      return kept.server;
    const tls = by?.speaking([protocol], hostname) ?? mutual;
    const server: AskedServer = { hostname, port, tls, endpoint };
    this.#servers.set(endpoint, { server, by });
    return server;
  }
}

function pickOther(cluster: Cluster, tried: readonly AskedServer[]): Endpoint | undefined {
  const picked = cluster.pick(tried.at(-1)?.endpoint);
  const isTried = (one: Endpoint): boolean => tried.some(({ endpoint }) => endpoint === one);
  if (picked === undefined || tried.length < 2 || !isTried(picked)) return picked;
  return cluster.endpoints.find((one) => one.inRotation && !isTried(one)) ?? picked;
}
