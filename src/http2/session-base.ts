/**
 * What a session keeps, and what its user and its streams may do with it. The other half, what the
 * peer's frames do, is session.ts.
 */
import { assert } from "../core/assert.ts";
import { type Failure, Failures } from "../core/failure.ts";
import { ErrorCode } from "./error-code.ts";
import type { Fault } from "./fault.ts";
import { FloodClass, FloodGuard } from "./flood-guard.ts";
import { Flag, FrameType, preface, SettingId, streamIdMax, windowAtStart } from "./frame.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { OutputBuffer } from "./output-buffer.ts";
import { PeerSettings } from "./peer-settings.ts";
import { writeLines } from "./prepared-lines.ts";
import { SendSide } from "./send-side.ts";
import { defaultSessionLimits, type SessionLimits } from "./session-limits.ts";
import type { SessionOptions } from "./session-options.ts";
import type { SessionSink } from "./session-sink.ts";
import { Stream, type StreamOwner, StreamState } from "./stream.ts";
import { Ending, StreamTable } from "./stream-table.ts";

const encoder = new TextEncoder();

export abstract class SessionBase<U> implements StreamOwner<U> {
  /** Set by the owner before every call; milliseconds of any steady clock, not 0. */
  nowMs = 1;
  /** A slot for the owner: the socket's connection object. */
  owner: unknown = undefined;
  readonly isServer: boolean;
  readonly schemeIsHttps: boolean;
  readonly limits: SessionLimits;
  readonly peer: PeerSettings;
  readonly out: OutputBuffer;
  readonly encoder: HpackEncoder;
  /** The first SETTINGS of the peer have arrived. */
  isReady = false;
  /** The peer has acknowledged our SETTINGS. */
  isAcknowledged = false;
  /** GOAWAY was sent or received: no new streams. */
  isGoingAway = false;
  /** Why the session is over; undefined while it lives. */
  failure: Failure | undefined = undefined;

  protected readonly sink: SessionSink<U>;
  protected readonly streams = new StreamTable<U>();
  protected readonly flood: FloodGuard;
  protected readonly send: SendSide<U>;
  /** What the peer may still send on the connection. */
  protected receiveWindow: number;
  /** The highest stream that the peer opened. */
  protected lastPeerId = 0;
  /** The highest stream that we opened. */
  protected lastOwnId = -1;
  /** The last stream that we serve, as the last GOAWAY said. */
  protected lastServedId = streamIdMax;
  protected pingSentMs = 0;
  #unannounced = 0;
  #pingCount = 0;
  #finishesDrain = false;
  /** Streams that are not over; for a server also those that are not released. */
  #active = 0;
  readonly #options: SessionOptions<U>;

  constructor(options: SessionOptions<U>) {
    const { limits = defaultSessionLimits, sink, arena } = options;
    this.#options = options;
    this.flood = new FloodGuard(options.isOffender);
    this.isServer = options.role === "server";
    this.schemeIsHttps = options.schemeIsHttps ?? false;
    this.limits = limits;
    this.sink = sink;
    this.peer = new PeerSettings(!this.isServer);
    this.out = new OutputBuffer(arena.buffers);
    this.encoder = new HpackEncoder(this.out);
    this.send = new SendSide(this.out, this.peer, limits, sink);
    this.receiveWindow = Math.max(windowAtStart, limits.connectionWindowBytes);
  }

  /** What waits to be sent: [outputStart, outputEnd). Read again after every call. */
  get output(): Uint8Array {
    return this.out.bytes;
  }

  get outputStart(): number {
    return this.out.start;
  }

  get outputEnd(): number {
    return this.out.end;
  }

  /** The kernel took `bytes` of it. May call streamWritable. */
  outputTaken(bytes: number): void {
    this.out.taken(bytes);
    if (this.send.hasWaiting && this.out.length * 2 <= this.limits.outputBytesMax) {
      this.send.wake();
    }
  }

  /** The output is over its bounds because the peer does not read: do not read from it either. */
  get isClogged(): boolean {
    return this.out.length > this.limits.outputBytesMax + this.limits.controlBytesMax;
  }

  /** Streams that count: not over, or (server) over and not released yet. */
  get streamCount(): number {
    return this.#active;
  }

  /** Who has a stream, as a list of its own. */
  users(): readonly U[] {
    return this.streams.all().flatMap(({ user }) => (user === undefined ? [] : [user]));
  }

  /** Server: the peer has opened a stream. */
  get hasServed(): boolean {
    return this.lastPeerId > 0;
  }

  /** Client: how many streams could be opened now. */
  get room(): number {
    const over = this.isServer || this.isGoingAway || this.failure !== undefined;
    if (over || this.lastOwnId + 2 > streamIdMax) return 0;
    return Math.max(0, Math.min(this.limits.streamsMax, this.peer.streamsMax) - this.#active);
  }

  /** How often each class of frames was over its budget, by FloodClass. */
  get floodCounts(): Readonly<Uint32Array> {
    return this.flood.counts;
  }

  /** Puts preface and SETTINGS into the output. Once, first of all. */
  start(): void {
    const { out, limits } = this;
    if (!this.isServer) {
      out.reserve(preface.length);
      out.range(preface, 0, preface.length);
    }
    const settings: (readonly [id: number, value: number])[] = [
      [SettingId.initialWindowSize, limits.streamWindowBytes],
      [SettingId.maxFrameSize, limits.frameBytesMax],
      [SettingId.maxHeaderListSize, limits.headerListBytesMax],
    ];
    if (this.isServer) {
      settings.push([SettingId.maxConcurrentStreams, limits.streamsMax]);
      if (this.offersConnect) settings.push([SettingId.enableConnectProtocol, 1]);
    } else settings.push([SettingId.enablePush, 0]);
    settings.push(...(this.#options.settings ?? []));
    out.frame(settings.length * 6, FrameType.settings, 0, 0);
    for (const [id, value] of settings) {
      out.uint16(id);
      out.uint32(value);
    }
    const more = this.receiveWindow - windowAtStart;
    if (more > 0) out.windowUpdate(0, more);
  }

  protected get offersConnect(): boolean {
    return this.isServer && (this.#options.connectProtocol ?? true);
  }

  /** Client: a new stream, or undefined where there is no room. Send a head on it next. */
  open(user: U): Stream<U> | undefined {
    if (this.room === 0) return undefined;
    this.lastOwnId += 2;
    const stream = this.newStream(this.lastOwnId);
    stream.user = user;
    return stream;
  }

  /** A frame of a type that is not RFC 9113's: who does not know it ignores it (5.5). */
  extend(type: number, payload: Uint8Array): void {
    if (this.failure !== undefined) return;
    this.out.frame(payload.length, type, 0, 0);
    this.out.range(payload, 0, payload.length);
  }

  /** When the PING was sent that is not answered yet (nowMs); 0: none is. */
  get pingedAtMs(): number {
    return this.pingSentMs;
  }

  /** Sends a PING; false while one is unanswered. */
  ping(): boolean {
    if (this.pingSentMs !== 0 || this.failure !== undefined) return false;
    this.pingSentMs = this.nowMs;
    const { out } = this;
    out.frame(8, FrameType.ping, 0, 0);
    out.uint32(0x6d657368);
    out.uint32(++this.#pingCount);
    return true;
  }

  /** Whether the eight octets at `at` answer the PING that we sent last. */
  protected isPong(bytes: Uint8Array, at: number): boolean {
    const count = this.#pingCount;
    const wanted = [0x6d, 0x65, 0x73, 0x68, count >>> 24, count >>> 16, count >>> 8, count];
    return this.pingSentMs !== 0 && wanted.every((octet, i) => bytes[at + i] === (octet & 255));
  }

  /**
   * Graceful end. Server: GOAWAY(2^31-1) and a PING; when that is answered, or on finishDrain,
   * GOAWAY with the last stream. Client: no new streams.
   */
  drain(): void {
    if (this.isGoingAway || this.failure !== undefined) return;
    this.isGoingAway = true;
    if (!this.isServer) return this.out.goaway(0, ErrorCode.noError, noDebug);
    this.out.goaway(streamIdMax, ErrorCode.noError, noDebug);
    this.#finishesDrain = true;
    this.pingSentMs = 0;
    this.ping();
  }

  finishDrain(): void {
    if (!this.#finishesDrain || this.failure !== undefined) return;
    this.#finishesDrain = false;
    this.lastServedId = this.lastPeerId;
    this.out.goaway(this.lastPeerId, ErrorCode.noError, noDebug);
  }

  /** Nothing is left to do: send the output, then close. */
  get isDrained(): boolean {
    return this.isGoingAway && !this.#finishesDrain && this.#active === 0;
  }

  /** Ends the session for a cause of the owner's: GOAWAY(code), every stream is reset. */
  fail(failure: Failure, code: ErrorCode): void {
    if (this.failure !== undefined) return;
    this.#end(failure, code, failure.reason);
  }

  /** The owner gave a stream up whose answer the peer does not take. */
  untaken(): void {
    const fault = this.flood.take(FloodClass.untaken, this.nowMs);
    if (fault !== undefined) this.failBy(fault);
  }

  /** The connection is gone: every stream is reset with `failure`; nothing is put out. */
  close(failure: Failure): void {
    if (this.failure !== undefined) return;
    this.failure = failure;
    this.isGoingAway = true;
    this.#resetAll(failure, ErrorCode.noError);
    this.stopped();
  }

  /** The peer broke the connection. */
  protected failBy(fault: Fault): void {
    const failure = this.isServer ? fault.failure : fault.upstream;
    this.#end(failure, fault.code, fault.detail);
  }

  #end(failure: Failure, code: ErrorCode, detail: string): void {
    if (this.failure !== undefined) return;
    this.failure = failure;
    this.isGoingAway = true;
    this.#finishesDrain = false;
    this.out.goaway(this.lastPeerId, code, encoder.encode(detail));
    this.#resetAll(failure, code);
    this.stopped();
    this.sink.sessionFailed(failure, detail, code);
  }

  /** No input is read any more. */
  protected abstract stopped(): void;

  #resetAll(failure: Failure, code: ErrorCode): void {
    for (const stream of this.streams.all()) this.abandon(stream, failure, code);
  }

  /** The stream is over without a frame of ours; its user is told. */
  protected abandon(stream: Stream<U>, failure: Failure, code: ErrorCode): void {
    const wasOver = stream.isClosed;
    if (stream.isReset || (stream.released && wasOver)) return;
    this.closed(stream, Ending.peerReset);
    stream.isReset = true;
    if (!wasOver) this.sink.streamReset(stream, failure, code);
  }

  /** GOAWAY of a server: it never began with streams above `lastId` (RFC 9113 6.8). */
  protected unprocessed(lastId: number, code: number): void {
    for (const stream of this.streams.all()) {
      if (stream.id > lastId) {
        this.abandon(stream, Failures.upstreamUnprocessed, code as ErrorCode);
      }
    }
  }

  protected newStream(id: number): Stream<U> {
    const stream = new Stream<U>(this, id);
    stream.sendWindow = this.peer.initialWindowBytes;
    const { streamWindowBytes } = this.limits;
    // Until the peer knows our window, it may go by that of the start.
    stream.receiveWindow = this.isAcknowledged
      ? streamWindowBytes
      : Math.max(streamWindowBytes, windowAtStart);
    this.streams.add(stream);
    this.#active++;
    return stream;
  }

  // What streams ask for.

  writeData(stream: Stream<U>, bytes: Uint8Array, offset: number, length: number): number {
    if (stream.localEnded) return -1;
    assert(stream.headSent, "content before its head");
    const taken = this.send.write(stream, bytes, offset, offset + length);
    if (taken === length) {
      stream.blockedSinceMs = 0;
      return taken;
    }
    const byWindow = stream.sendWindow <= 0 || this.send.window <= 0;
    if (!byWindow) stream.blockedSinceMs = 0;
    else if (taken > 0 || stream.blockedSinceMs === 0) stream.blockedSinceMs = this.nowMs;
    this.send.wait(stream);
    return taken;
  }

  endStream(stream: Stream<U>): void {
    if (stream.localEnded) return;
    assert(stream.headSent, "an end before its head");
    this.send.end(stream);
    this.endLocal(stream);
  }

  writeTrailers(stream: Stream<U>, lines: Uint8Array, from: number, to: number): void {
    if (stream.localEnded) return;
    assert(stream.headSent, "trailers before their head");
    const block = writeLines(lines, from, to);
    if (block.length === 0) return this.endStream(stream);
    const { out } = this;
    this.encoder.begin();
    const max = this.peer.frameBytesMax;
    for (let at = block.start; at < block.end; at += max) {
      const end = Math.min(block.end, at + max);
      const isFirst = at === block.start;
      const type = isFirst ? FrameType.headers : FrameType.continuation;
      const flags = (isFirst ? Flag.endStream : 0) | (end === block.end ? Flag.endHeaders : 0);
      out.frame(end - at, type, flags, stream.id);
      out.range(block.bytes, at, end);
    }
    this.endLocal(stream);
  }

  headWritten(stream: Stream<U>, at: number, ends: boolean): void {
    if (at >= 0) stream.lastFrameAt = at;
    if (ends) this.endLocal(stream);
  }

  resetStream(stream: Stream<U>, code: ErrorCode): void {
    if (stream.isReset || stream.isClosed) return;
    stream.isReset = true;
    // A stream that never sent a frame is idle for the peer.
    if (this.isServer || stream.headSent) this.out.rstStream(stream.id, code);
    this.closed(stream, Ending.weReset);
  }

  consume(stream: Stream<U>, bytes: number): void {
    const taken = Math.min(bytes, stream.unconsumed);
    if (taken <= 0) return;
    stream.unconsumed -= taken;
    this.creditConnection(taken);
    if (stream.remoteEnded) return;
    stream.unannounced += taken;
    if (stream.unannounced * 2 < this.limits.streamWindowBytes) return;
    this.out.windowUpdate(stream.id, stream.unannounced);
    stream.receiveWindow += stream.unannounced;
    stream.unannounced = 0;
  }

  releaseStream(stream: Stream<U>): void {
    if (stream.released) return;
    if (!stream.isClosed) {
      const answered = this.isServer && stream.localEnded;
      this.resetStream(stream, answered ? ErrorCode.noError : ErrorCode.cancel);
    }
    stream.released = true;
    stream.user = undefined;
    this.#uncredited(stream);
    this.#settle(stream);
  }

  // How streams come to their end.

  protected endLocal(stream: Stream<U>): void {
    stream.state |= StreamState.localEnded;
    stream.waits = false;
    if (stream.isClosed) this.closed(stream, Ending.whole);
  }

  protected endRemote(stream: Stream<U>): void {
    stream.state |= StreamState.remoteEnded;
    if (stream.isClosed) this.closed(stream, Ending.whole);
  }

  protected closed(stream: Stream<U>, ending: Ending): void {
    stream.state = StreamState.closed;
    stream.waits = false;
    this.streams.ended(stream.id, ending);
    if (ending === Ending.whole) this.flood.credit(FloodClass.reset);
    else this.#uncredited(stream);
    this.#settle(stream);
  }

  /** Octets that nobody will consume any more are the connection's again. */
  #uncredited(stream: Stream<U>): void {
    const { unconsumed } = stream;
    stream.unconsumed = 0;
    if (unconsumed > 0) this.creditConnection(unconsumed);
  }

  /** A server's stream counts until the work that it caused is over (CVE-2023-44487). */
  #settle(stream: Stream<U>): void {
    if (!stream.isClosed || (this.isServer && !stream.released)) return;
    if (this.streams.find(stream.id) !== stream) return;
    this.streams.remove(stream.id);
    this.#active--;
  }

  protected creditConnection(bytes: number): void {
    this.#unannounced += bytes;
    if (this.#unannounced * 2 < this.limits.connectionWindowBytes) return;
    if (this.failure !== undefined) return;
    this.out.windowUpdate(0, this.#unannounced);
    this.receiveWindow += this.#unannounced;
    this.#unannounced = 0;
  }

  /** The failure of a stream that the peer reset. */
  protected resetFailure(code: number): Failure {
    if (this.isServer) return Failures.downstreamReset;
    return code === ErrorCode.refusedStream ? Failures.upstreamUnprocessed : Failures.upstreamReset;
  }
}

const noDebug = new Uint8Array(0);
