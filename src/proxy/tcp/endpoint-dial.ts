/**
 * Connections to one endpoint that are used once: no pool keeps them, and none is inside of
 * another. Each gives back its place in the cluster's connections when it has closed.
 */
import type { SendPool } from "../../io/send-buffer.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import {
  type ConnectionOwner,
  UpstreamConnection,
  type UpstreamUser,
} from "../upstream/connection.ts";
import { identityOf } from "../upstream/pool.ts";
import type { RelayEnvironment } from "./relay-environment.ts";

/** What a peer that reads slowly has for the rest, before it is reset. */
const ENDING_MS = 20_000;

export class EndpointDial implements ConnectionOwner {
  readonly endpoint: Endpoint;
  readonly #env: RelayEnvironment;

  constructor(endpoint: Endpoint, env: RelayEnvironment) {
    this.endpoint = endpoint;
    this.#env = env;
  }

  get sendPool(): SendPool {
    return this.#env.sendPool;
  }

  /** For `user`, who hears of its opening; the caller has acquired its place. */
  connect(cluster: Cluster, user: UpstreamUser): UpstreamConnection {
    const connection = new UpstreamConnection(this, cluster.limits, user);
    const { address, port, facts } = this.endpoint;
    const { connector, identity: own } = this.#env.pools;
    const identity = identityOf(this.endpoint, cluster.tls, own);
    const mutual = identity === "" ? undefined : own?.clientTls(identity, "mesh-tcp");
    const tls = cluster.tls?.to(address) ?? mutual;
    const target = { hostname: address, port, tls, from: facts.from };
    connection.attempt = connector.connect(target, connection, cluster.connectTimeoutMs);
    return connection;
  }

  connectionReleased(connection: UpstreamConnection): void {
    connection.close();
  }

  connectionRetired(): void {}

  connectionEnding(connection: UpstreamConnection): void {
    this.#env.timers.arm(connection, ENDING_MS);
  }

  connectionClosed(connection: UpstreamConnection): void {
    const { timers, pools } = this.#env;
    timers.release(connection);
    connection.limits.releaseConnection();
    if (pools.waiting.size > 0) pools.waiting.wake(connection.limits.usage);
  }
}
