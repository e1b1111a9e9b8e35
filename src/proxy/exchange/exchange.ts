/**
 * One request and its response: plain state, reused from exchange to exchange. What happens to it
 * is in the modules beside, in the order of a request's life:
 *
 *   dispatch ─▶ attempt ⇄ (retry) ─▶ request-body ─▶ response ─▶ finish
 *                                 └─▶ tunnel
 */
import type { Failure } from "../../core/failure.ts";
import type { Generation } from "../../core/generation.ts";
import { Framing, type MessageHead } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";
import { ChunkedDecoder } from "../../http1/chunked-decoder.ts";
import type { HeadBuffer } from "../../http1/head-buffer.ts";
import type { ConnectCause } from "../../io/tcp-connector.ts";
import type { VerifiedToken } from "../../policy/jwt/verified-token.ts";
import type { AccessRecord } from "../../telemetry/access-record.ts";
import { NO_HASH } from "../cluster/balancing/balancer.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { Call } from "../grpc/call.ts";
import type { CallKind } from "../grpc/media-type.ts";
import type { HeaderEdits } from "../policy/header-edit.ts";
import type { Route } from "../route/route.ts";
import type { VirtualHost } from "../route/virtual-host.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { UpstreamSide } from "../upstream/upstream-side.ts";
import type { UpstreamStreamUser } from "../upstream/upstream-stream.ts";
import type { DownstreamSide } from "./downstream-side.ts";
import type { Environment } from "./environment.ts";
import { ReplayBuffer } from "./replay-buffer.ts";

/** Where the response is. */
export const Phase = { head: 0, body: 1, tunnel: 2, done: 3 } as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** What a waiting exchange does when its time has come. */
export const Wake = { nothing: 0, afterDelay: 1, retry: 2, unanswered: 3 } as const;
export type Wake = (typeof Wake)[keyof typeof Wake];

/** How content is framed for the side that it goes to. */
export const Form = {
  /** As it is: counted, until the connection ends, in a tunnel. */
  raw: 0,
  /** In chunks of ours. */
  chunks: 1,
  /** In the chunks that it came in. */
  relay: 2,
} as const;
export type Form = (typeof Form)[keyof typeof Form];

/** A second user of the request's bytes. */
export interface RequestCopy {
  body(bytes: Uint8Array, from: number, to: number): void;
  /** The request is whole. */
  end(): void;
  abandon(): void;
}

/** A try whose time has passed, and that may still be the first to answer: see hedge.ts. */
export interface EarlierTry {
  /** It is the exchange's try again. */
  takeUp(): void;
  /** Gives it up, and what it holds back. */
  abandon(): void;
}

/** The first octets of the content. */
export interface SeenContent {
  readonly bytes: Uint8Array;
  /** There is more than `bytes`. */
  readonly isPartial: boolean;
}

/** Takes what comes of the request while it has nowhere to go yet. */
export interface InputReader {
  /** There is more in the downstream's input, or it is done. */
  inputArrived(): void;
}

/** Policy has asked somebody, and the exchange goes no further before that one has answered. */
export interface PolicyWait {
  /** It has taken too long. */
  expire(): void;
  /** The exchange is over. */
  cancel(): void;
}

const NO_BYTES = new Uint8Array(0);

export abstract class Exchange implements UpstreamStreamUser {
  readonly env: Environment;
  /** Undefined between exchanges. */
  downstream: DownstreamSide | undefined = undefined;
  generation: Generation<Snapshot> | undefined = undefined;
  /** Whose route it is; undefined: of no virtual host. */
  host: VirtualHost | undefined = undefined;
  route: Route | undefined = undefined;
  cluster: Cluster | undefined = undefined;
  /** Of the try under way, or of the last one. */
  endpoint: Endpoint | undefined = undefined;
  upstream: UpstreamSide | undefined = undefined;

  // The request.
  /** The head lies at [headStart, headEnd). */
  bytes: Uint8Array = NO_BYTES;
  headStart = 0;
  headEnd = 0;
  method: MethodId = MethodId.other;
  minorVersion = 1;
  /** The client keeps its connection. */
  keepsAlive = false;
  websocket = false;
  connects = false;
  /** TE: trailers. */
  acceptsTrailers = false;
  requestFraming: Framing = Framing.none;
  requestRemaining = 0;
  requestForm: Form = Form.raw;
  /** Of the mirror's. */
  copyForm: Form = Form.raw;
  /** The mirror speaks HTTP/2: it gets content, never its framing. */
  copyIsStream = false;
  requestBytes = 0;
  requestDone = false;
  /** Request bytes have a place to go. */
  acceptsBody = false;
  /** Some of the body was handed to an upstream. */
  bodySent = false;
  /** Rewritten path and query. */
  target: Uint8Array | undefined = undefined;
  /** Takes the place of the received Max-Forwards. */
  hopField: Uint8Array | undefined = undefined;
  replay: ReplayBuffer | undefined = undefined;
  #spareReplay: ReplayBuffer | undefined = undefined;
  copy: RequestCopy | undefined = undefined;
  /** The request is a call of gRPC. */
  call: Call | undefined = undefined;
  #spareCall: Call | undefined = undefined;
  #requestChunks: ChunkedDecoder | undefined = undefined;

  // The tries.
  attempts = 0;
  /** A try holds its place among the cluster's requests. */
  trying = false;
  pending = false;
  retrying = false;
  /** The endpoint whose retry it is. */
  retriedEndpoint: Endpoint | undefined = undefined;
  /** Of what the cluster balances by; it stays the same from try to try. */
  hash = NO_HASH;
  /** The try under way is on a connection that answered an exchange before. */
  reused = false;
  /**
   * A lost connection was forgiven, once: a stale one of the pool, or, where the route retries
   * resets, one that died silently under an idempotent request (RFC 9110 9.2.2). Only a new one
   * will do then.
   */
  repeated = false;
  retriesLeft = 0;
  perTryTimeoutMs = 0;
  /** They wait for an answer beside the try under way; undefined: none. */
  earlier: EarlierTry[] | undefined = undefined;
  /** There were such: for the access log. */
  hedged = false;

  // The response.
  phase: Phase = Phase.head;
  partial: HeadBuffer | undefined = undefined;
  responseFraming: Framing = Framing.none;
  responseRemaining = 0;
  responseBytes = 0;
  /** Final status that the downstream got; 0: none yet. */
  status = 0;
  /** A byte of the final response was handed to the downstream. */
  responded = false;
  interims = 0;
  upstreamKeepsAlive = false;
  responseForm: Form = Form.raw;
  /** The response ends with the connection. */
  closes = false;
  /** Lines that the response gets besides its own. */
  responseFields: Uint8Array | undefined = undefined;
  #responseChunks: ChunkedDecoder | undefined = undefined;

  // Policy.
  /** What it proved to be allowed by. */
  token: VerifiedToken | undefined = undefined;
  wait: PolicyWait | undefined = undefined;
  reader: InputReader | undefined = undefined;
  /** What was read of it before it had anywhere to go. */
  preview: SeenContent | undefined = undefined;
  /** What rules change in the fields of the response. */
  responseEdits: HeaderEdits | undefined = undefined;
  /** Of the check; −1: there was none. */
  checkCode = -1;
  checkMessage = "";
  /** The mixer's part of it was known; undefined: the mixer was not asked. */
  checkCacheHit: boolean | undefined = undefined;
  quotaCacheHit: boolean | undefined = undefined;
  responseHeadBytes = 0;
  /** The response's head, where rules read it afterwards. */
  responseOctets: Uint8Array = NO_BYTES;

  // Time.
  startMs = 0;
  /** When the last try had been sent; 0: not yet. */
  sentMs = 0;
  serviceMs = -1;
  progressMs = 0;
  timeoutMs = 0;
  deadlineMs = 0;
  tryDeadlineMs = 0;
  wakeMs = 0;
  wake: Wake = Wake.nothing;

  failure: Failure | undefined = undefined;
  /** Which rule or limit did it, or why the transport failed. */
  detail = "";
  /** More about it, for the log alone: it may name what only we should know. */
  transportDetail = "";
  /** The injected delay was served: for the access log. */
  delayed = false;
  record: AccessRecord | undefined = undefined;

  constructor(env: Environment) {
    this.env = env;
  }

  get requestChunks(): ChunkedDecoder {
    this.#requestChunks ??= new ChunkedDecoder(this.env.limits.chunk);
    return this.#requestChunks;
  }

  get responseChunks(): ChunkedDecoder {
    this.#responseChunks ??= new ChunkedDecoder(this.env.limits.chunk);
    return this.#responseChunks;
  }

  /** The request's content is kept from now on. */
  beginReplay(): void {
    this.#spareReplay ??= new ReplayBuffer(this.env.limits.replayBytesMax);
    this.replay = this.#spareReplay;
  }

  /** For the head that was just scanned; see callKindOf. */
  beginCall(kind: CallKind, head: MessageHead): void {
    this.#spareCall ??= new Call();
    this.call = this.#spareCall.begin(kind, head);
  }

  /** Back to the state of a new one. What tries and responses set is set again by theirs. */
  reset(): void {
    this.downstream = undefined;
    this.generation = undefined;
    this.host = undefined;
    this.route = undefined;
    this.cluster = undefined;
    this.endpoint = undefined;
    this.bytes = NO_BYTES;
    this.target = undefined;
    this.hopField = undefined;
    this.replay?.clear();
    this.replay = undefined;
    this.copy = undefined;
    this.copyIsStream = false;
    this.call = undefined;
    this.partial = undefined;
    this.responseFields = undefined;
    this.responseEdits = undefined;
    this.token = undefined;
    this.reader = undefined;
    this.preview = undefined;
    this.checkCode = -1;
    this.checkMessage = "";
    this.checkCacheHit = undefined;
    this.quotaCacheHit = undefined;
    this.responseHeadBytes = 0;
    this.responseOctets = NO_BYTES;
    this.failure = undefined;
    this.detail = "";
    this.transportDetail = "";
    this.record = undefined;
    this.delayed = false;
    this.hedged = false;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.attempts = 0;
    this.hash = NO_HASH;
    this.repeated = false;
    this.bodySent = false;
    this.retriesLeft = 0;
    this.perTryTimeoutMs = 0;
    this.phase = Phase.head;
    this.responseFraming = Framing.none;
    this.status = 0;
    this.responded = false;
    this.interims = 0;
    this.responseForm = Form.raw;
    this.closes = false;
    this.sentMs = 0;
    this.serviceMs = -1;
    this.deadlineMs = 0;
    this.tryDeadlineMs = 0;
    this.wakeMs = 0;
    this.wake = Wake.nothing;
    this.acceptsBody = false;
  }

  abstract upstreamOpened(): void;
  abstract upstreamFailed(cause: ConnectCause, detail: string): void;
  abstract upstreamData(bytes: Uint8Array, from: number, to: number): void;
  abstract upstreamDrained(): void;
  abstract upstreamEnded(): void;
  abstract upstreamClosed(reset: boolean): void;
  abstract upstreamVacancy(): void;
  abstract upstreamInterim(head: MessageHead): void;
  abstract upstreamHead(head: MessageHead, ended: boolean): void;
  abstract upstreamContent(bytes: Uint8Array, from: number, to: number): void;
  abstract upstreamComplete(trailers: Uint8Array, from: number, to: number): void;
  abstract upstreamReset(failure: Failure): void;
}
