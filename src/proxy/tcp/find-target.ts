/**
 * Where a connection goes that is passed on as it is:
 *
 *   a destination known by name ─▶ routes of the snapshot ─▶ outside, where the mesh allows it
 *        ─▶ nowhere (NR)
 */
import type { SocketAddress } from "../../io/socket-address.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { PASSTHROUGH } from "../cluster/make-cluster.ts";
import type { RelayTarget } from "./relay-environment.ts";
import { nameOf } from "./relay-record.ts";
import type { TcpRouteTable } from "./route-table.ts";
import { fixedTcpRoute, type TcpRoute } from "./tcp-route.ts";
import type { UnknownHosts } from "./unknown-hosts.ts";

/** What is known of a connection before it is passed on. */
export interface TcpCall extends Omit<RelayTarget, "route"> {
  /** "mysql.default.svc.cluster.local:3306", where that is known; "": it is to be found. */
  readonly named: string;
}

/** Of a snapshot. */
export interface TcpView {
  readonly tcp: TcpRouteTable;
  readonly settings: { readonly unknownHost: Cluster | undefined };
}

export class TargetFinder {
  readonly #unknown: UnknownHosts;
  #outside: { readonly cluster: Cluster; readonly route: TcpRoute } | undefined = undefined;

  constructor(unknown: UnknownHosts) {
    this.#unknown = unknown;
  }

  /** `remoteAddress`: the client's. Undefined: it is to be refused, with Failures.noRoute. */
  find(view: TcpView, call: TcpCall, remoteAddress: string): RelayTarget | undefined {
    const { from, destination, source, serverName, named } = call;
    const route = this.#routeOf(view, call, source?.address ?? remoteAddress);
    if (route !== undefined) return { from, route, destination, source, serverName };
    this.#unknown.note(
      destination === undefined ? named : nameOf(destination),
      "refused",
      serverName,
    );
    return undefined;
  }

  #routeOf({ tcp, settings }: TcpView, call: TcpCall, source: string): TcpRoute | undefined {
    const { destination, serverName, named } = call;
    const known = named === "" ? undefined : tcp.findNamed(named, destination, source);
    if (known !== undefined || destination === undefined) return known;
    const found = tcp.find(destination, serverName, source);
    if (found !== undefined || settings.unknownHost === undefined) return found;
    return this.#pass(settings.unknownHost, destination, serverName);
  }

  #pass(cluster: Cluster, destination: SocketAddress, serverName: string): TcpRoute {
    this.#unknown.note(nameOf(destination), "passed on", serverName);
    if (this.#outside?.cluster !== cluster)
      this.#outside = { cluster, route: fixedTcpRoute(PASSTHROUGH, cluster) };
    return this.#outside.route;
  }
}
