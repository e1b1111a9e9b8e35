/**
 * A second copy of a request, sent for its effect alone: the answer is dropped, nothing that
 * happens to it touches the exchange. What the mirror's service cannot take at once is kept up to a
 * bound; past it the copy is given up.
 */
import { Timer } from "../../io/timer-wheel.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { Environment } from "../exchange/environment.ts";
import type { RequestCopy } from "../exchange/exchange.ts";
import { ReplayBuffer } from "../exchange/replay-buffer.ts";
import type { UpstreamConnection, UpstreamUser } from "../upstream/connection.ts";
import { mayCall, poolOf } from "../upstream/pool.ts";

/** A mirror that has not answered by then is closed. */
export const MIRROR_MS = 15_000;

export class Mirrored extends Timer implements RequestCopy, UpstreamUser {
  readonly #env: Environment;
  readonly #cluster: Cluster;
  readonly #endpoint: Endpoint;
  readonly #unsent: ReplayBuffer;
  #connection: UpstreamConnection | undefined;
  #opened = false;

  private constructor(env: Environment, cluster: Cluster, endpoint: Endpoint) {
    super();
    this.#env = env;
    this.#cluster = cluster;
    this.#endpoint = endpoint;
    this.#unsent = new ReplayBuffer(env.limits.replayBytesMax);
  }

  /** Undefined where there are too many, or no endpoint is to be had. */
  static begin(env: Environment, cluster: Cluster): Mirrored | undefined {
    if (env.mirrors >= env.limits.mirrorsMax) return undefined;
    const endpoint = cluster.original ? undefined : cluster.pick();
    if (endpoint === undefined || env.isOwnListener("outbound", endpoint)) return undefined;
    if (!mayCall(endpoint, cluster, env.pools.identity)) return undefined;
    if (!cluster.limits.tryAcquireConnection(endpoint)) return undefined;
    const mirrored = new Mirrored(env, cluster, endpoint);
    env.mirrors++;
    cluster.begin(endpoint);
    mirrored.#connection = poolOf(endpoint, cluster, env.pools).connect(cluster, mirrored);
    env.timers.armAt(mirrored, env.nowMs + MIRROR_MS);
    return mirrored;
  }

  body(bytes: Uint8Array, from: number, to: number): void {
    if (this.#connection === undefined) return;
    if (!this.#opened) {
      this.#unsent.add(bytes, from, to);
      if (!this.#unsent.complete) this.abandon();
    } else {
      this.#connection.send(bytes, from, to - from);
      if (this.#connection?.isFull === true) this.abandon();
    }
  }

  /** The framing says where it ends. */
  end(): void {}

  abandon(): void {
    const connection = this.#connection;
    this.#end();
    connection?.discard();
  }

  override expire(): void {
    this.abandon();
  }

  upstreamOpened(): void {
    this.#opened = true;
    this.#connection!.send(this.#unsent.bytes, 0, this.#unsent.length);
  }

  upstreamFailed(): void {
    this.#end();
  }

  /** The service closes when it has answered, since we asked for that; until then we listen. */
  upstreamData(): void {}

  upstreamDrained(): void {}

  upstreamEnded(): void {
    const connection = this.#connection;
    this.#end();
    connection?.close();
  }

  upstreamClosed(): void {
    this.#end();
  }

  upstreamVacancy(): void {}

  #end(): void {
    if (this.#connection === undefined) return;
    this.#connection = undefined;
    this.#env.mirrors--;
    this.#env.timers.release(this);
    this.#cluster.end(this.#endpoint);
  }
}
