/** The mirror of a request where its service speaks HTTP/2: a stream, answered to nobody. */
import { MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { Timer } from "../../io/timer-wheel.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { Environment } from "../exchange/environment.ts";
import type { RequestCopy } from "../exchange/exchange.ts";
import { ReplayBuffer } from "../exchange/replay-buffer.ts";
import { mayCall, poolOf } from "../upstream/pool.ts";
import type { UpstreamStream, UpstreamStreamUser } from "../upstream/upstream-stream.ts";
import { MIRROR_MS } from "./mirror.ts";

export class MirroredStream extends Timer implements RequestCopy, UpstreamStreamUser {
  readonly #env: Environment;
  readonly #cluster: Cluster;
  readonly #endpoint: Endpoint;
  readonly #head = new MessageHead();
  /** Content that came before there was a stream. */
  readonly #unsent: ReplayBuffer;
  #stream: UpstreamStream | undefined = undefined;
  #opened = false;
  #ended: boolean;

  private constructor(env: Environment, cluster: Cluster, endpoint: Endpoint, ended: boolean) {
    super();
    this.#env = env;
    this.#cluster = cluster;
    this.#endpoint = endpoint;
    this.#ended = ended;
    this.#unsent = new ReplayBuffer(env.limits.replayBytesMax);
  }

  /**
   * `head`: a whole request head in the form of HTTP/1.1; `ended`: no content follows. Undefined
   * where there are too many, or no endpoint is to be had.
   */
  static begin(
    env: Environment,
    cluster: Cluster,
    head: Uint8Array,
    ended: boolean,
  ): MirroredStream | undefined {
    if (env.mirrors >= env.limits.mirrorsMax) return undefined;
    const endpoint = cluster.original ? undefined : cluster.pick();
    if (endpoint === undefined || env.isOwnListener("outbound", endpoint)) return undefined;
    if (!mayCall(endpoint, cluster, env.pools.identity)) return undefined;
    const mirrored = new MirroredStream(env, cluster, endpoint, ended);
    if (scanRequestHead(head, 0, head.length, mirrored.#head) <= 0) return undefined;
    env.mirrors++;
    cluster.begin(endpoint);
    env.timers.armAt(mirrored, env.nowMs + MIRROR_MS);
    const { sessions } = poolOf(endpoint, cluster, env.pools);
    mirrored.#stream = sessions.stream(mirrored, cluster.connectTimeoutMs);
    if (mirrored.#stream.stream !== undefined) mirrored.upstreamOpened();
    return mirrored;
  }

  body(bytes: Uint8Array, from: number, to: number): void {
    if (this.#stream === undefined) return;
    if (!this.#opened) {
      this.#unsent.add(bytes, from, to);
      if (!this.#unsent.complete) this.abandon();
      return;
    }
    this.#stream.send(bytes, from, to - from);
    if (this.#stream?.isFull === true) this.abandon();
  }

  end(): void {
    this.#ended = true;
    if (this.#opened) this.#stream?.endRequest(undefined);
  }

  abandon(): void {
    const stream = this.#stream;
    this.#end();
    stream?.discard();
  }

  override expire(): void {
    this.abandon();
  }

  upstreamOpened(): void {
    const side = this.#stream;
    if (side?.stream === undefined) return;
    this.#opened = true;
    const { blocks } = this.#env.http2;
    if (!blocks.begin(side.stream)) return this.abandon();
    blocks.request(this.#head, undefined, undefined);
    blocks.fields(this.#head);
    blocks.end(this.#ended && this.#unsent.length === 0);
    side.touch();
    if (this.#unsent.length > 0) side.send(this.#unsent.bytes, 0, this.#unsent.length);
    if (this.#ended) side.endRequest(undefined);
  }

  upstreamFailed(): void {
    this.#end();
  }

  upstreamComplete(): void {
    const stream = this.#stream;
    this.#end();
    stream?.close();
  }

  upstreamReset(): void {
    this.#end();
  }

  upstreamClosed(): void {
    this.#end();
  }

  /** What it answers is nobody's concern. */
  upstreamHead(): void {}
  upstreamInterim(): void {}
  upstreamContent(): void {}
  upstreamData(): void {}
  upstreamDrained(): void {}
  upstreamEnded(): void {}
  upstreamVacancy(): void {}

  #end(): void {
    if (this.#stream === undefined) return;
    this.#stream = undefined;
    this.#env.mirrors--;
    this.#env.timers.release(this);
    this.#cluster.end(this.#endpoint);
  }
}
