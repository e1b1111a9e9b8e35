/**
 * What all connections and exchanges of one engine share. The scratch objects (heads, output) hold
 * good within one event only: whoever needs a head later scans it again.
 */
import type { Clock } from "../../core/clock.ts";
import type { GenerationCell } from "../../core/generation.ts";
import type { Random } from "../../core/random.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { PathNormalizer } from "../../http/path-normalization.ts";
import type { SendPool } from "../../io/send-buffer.ts";
import { SlowLane } from "../../io/slow-lane.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import type { AccessLog } from "../../telemetry/access-log.ts";
import type { DenialWatch } from "../access/denial-watch.ts";
import type { RequestGate } from "../access/request-gate.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { EdgeFields } from "../filter/edge-fields.ts";
import type { ListenerName } from "../listener/own-addresses.ts";
import type { ClaimJudge } from "../policy/claim-judge.ts";
import type { ExchangePolicy } from "../policy/exchange-policy.ts";
import type { Route } from "../route/route.ts";
import { TargetWriter } from "../route/target-writer.ts";
import type { VirtualHost } from "../route/virtual-host.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { UnknownHosts } from "../tcp/unknown-hosts.ts";
import type { Http2Context } from "../transport/http2-context.ts";
import { meshRequest } from "../transport/mesh-request.ts";
import type { PoolParts } from "../upstream/pool.ts";
import { fixedRoute } from "./fixed-route.ts";
import type { EngineLimits } from "./limits.ts";
import { Staging } from "./staging.ts";

const WALL_READ_MS = 1_000;

/** What is at the addresses that captured connections wanted. */
export interface CaptureAddresses {
  /** Who serves requests there, in the snapshot that is published. */
  hostAt(destination: SocketAddress): VirtualHost | undefined;
  /** Whether only the mesh can be meant by it. */
  isMade(address: string): boolean;
}

/** Who is asked about exchanges, and told of them; undefined: nobody. */
export interface Watchers {
  accessLog: AccessLog | undefined;
  policy: ExchangePolicy | undefined;
  /** What stands between a request and its route. */
  access: RequestGate | undefined;
  /** Who is told of refusals. */
  denials: DenialWatch | undefined;
  /** What sidecars that are called are told of us; "": nothing. */
  claim: string;
}

export interface EnvironmentParts {
  readonly limits: EngineLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: TimerWheel;
  readonly generations: GenerationCell<Snapshot>;
  readonly sendPool: SendPool;
  readonly pools: PoolParts;
  readonly http2: Http2Context;
  /** Whether what came in by one listener would come in again. */
  readonly isOwnListener: (from: ListenerName, endpoint: Endpoint) => boolean;
}

export class Environment implements Watchers {
  readonly limits: EngineLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: TimerWheel;
  readonly generations: GenerationCell<Snapshot>;
  readonly sendPool: SendPool;
  readonly pools: PoolParts;
  readonly http2: Http2Context;
  readonly isOwnListener: (from: ListenerName, endpoint: Endpoint) => boolean;
  readonly requestHead: MessageHead;
  readonly responseHead: MessageHead;
  readonly output = new Staging();
  readonly slowLane = new SlowLane();
  readonly targets: TargetWriter;
  readonly paths: PathNormalizer;
  /** Of a gateway: what the head in `requestHead` gets instead of what was claimed in it. */
  readonly edge = new EdgeFields();
  accessLog: AccessLog | undefined = undefined;
  /** Undefined: no rule concerns what passes here. */
  policy: ExchangePolicy | undefined = undefined;
  /** Undefined: everybody may call. */
  access: RequestGate | undefined = undefined;
  denials: DenialWatch | undefined = undefined;
  /** What of callers' words is believed; undefined: what does not contradict their certificate. */
  claims: ClaimJudge | undefined = undefined;
  /** What captured connections find; undefined: none is captured here. */
  capture: CaptureAddresses | undefined = undefined;
  /** Undefined: nobody wants to hear of them. */
  unknownHosts: UnknownHosts | undefined = undefined;
  /** The application is told who called, by x-forwarded-client-cert. */
  tellsPeers = false;
  /** Whose head `requestHead` holds. */
  scannedFor: unknown = undefined;
  /** Of the event under way. */
  nowMs = 0;
  draining = false;
  /** While draining: until when connections without a request are kept. */
  graceEndsMs = 0;
  /** There is a snapshot. */
  ready = false;
  mirrors = 0;
  #wallReadMs = Number.NEGATIVE_INFINITY;
  #wallOffsetMs = 0;
  #passthrough: { readonly cluster: Cluster; readonly route: Route } | undefined = undefined;

  constructor(parts: EnvironmentParts) {
    this.limits = parts.limits;
    this.clock = parts.clock;
    this.random = parts.random;
    this.timers = parts.timers;
    this.generations = parts.generations;
    this.sendPool = parts.sendPool;
    this.pools = parts.pools;
    this.http2 = parts.http2;
    this.isOwnListener = parts.isOwnListener;
    this.requestHead = parts.http2.requestHead;
    this.paths = new PathNormalizer(parts.limits.head.startLineBytesMax);
    this.targets = new TargetWriter(parts.limits.head.startLineBytesMax * 2);
    this.responseHead = parts.http2.responseHead;
  }

  set claim(claim: string) {
    this.http2.meshRequest = meshRequest(claim);
    this.http2.meshClaim = new TextEncoder().encode(claim);
  }

  /** Reads the clock, once for each event. */
  tick(): void {
    this.nowMs = this.clock.nowMs();
  }

  /** Since 1970, of the event under way; follows a change of the wall clock within a second. */
  get wallMs(): number {
    if (this.nowMs - this.#wallReadMs > WALL_READ_MS) {
      this.#wallReadMs = this.nowMs;
      this.#wallOffsetMs = this.clock.wallMs() - this.nowMs;
    }
    return this.nowMs + this.#wallOffsetMs;
  }

  /** The route of requests to hosts outside the mesh. */
  passthroughRoute(cluster: Cluster): Route {
    if (this.#passthrough?.cluster !== cluster)
      this.#passthrough = { cluster, route: fixedRoute("passthrough", cluster) };
    return this.#passthrough.route;
  }
}
