/**
 * One HTTP/2 connection as a state machine (RFC 9113): octets in, calls of a sink and octets out.
 * It knows no socket and no clock: who owns it passes input, sends output, and sets `nowMs` before
 * each call.
 *
 *   start() ─▶ receive(…)* ─▶ drain() ─▶ isDrained      or  sessionFailed, close(failure)
 *
 * What a peer may do wrong comes back as a Fault from whatever noticed, and is dealt with here by
 * its scope: a stream is reset, a request answered, or the connection given up.
 */
import { copyRange } from "../core/copy-range.ts";
import { Framing, type MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { noBytes } from "./buffer-pool.ts";
import { ErrorCode } from "./error-code.ts";
import { ConnectionFault, type Fault, Flood, Malformed, StreamFault } from "./fault.ts";
import { FieldBlock } from "./field-block.ts";
import { FloodClass } from "./flood-guard.ts";
import { Flag, FrameType, readUint31 } from "./frame.ts";
import { type FrameHandler, FrameReader } from "./frame-reader.ts";
import { HeadBlockWriter } from "./head-block-writer.ts";
import { KnownLine } from "./known-line.ts";
import { RequestSection } from "./request-section.ts";
import { ResponseSection } from "./response-section.ts";
import { SessionControl } from "./session-control.ts";
import type { SessionOptions } from "./session-options.ts";
import { Stream, type StreamOwner } from "./stream.ts";
import { Ending } from "./stream-table.ts";
import { TrailerBlock } from "./trailer-block.ts";

/** Past a request, for what would reset it: a look over all of a large read costs much itself. */
const LOOK_BYTES = 32 << 10;

export class Session<U = unknown> extends SessionControl<U> implements FrameHandler {
  readonly #reader: FrameReader;
  readonly #head: MessageHead;
  readonly #requests: RequestSection;
  readonly #responses: ResponseSection;
  readonly #trailers: TrailerBlock;
  readonly #block: FieldBlock;
  readonly #options: SessionOptions<U>;
  /** The field block that is still incomplete: its stream; 0: none. */
  #blockStream = 0;
  #blockEnds = false;
  #blockDependsOnItself = false;
  #blockFrames = 0;
  #blockSinceMs = 0;
  #blockBytes = noBytes;
  #blockLength = 0;
  /** The stream of the DATA frame under way; undefined: its content is for nobody. */
  #dataStream: Stream<U> | undefined = undefined;
  #dataSeen = 0;
  /** What is being received, up to #inputEnd; nothing between reads. */
  #input = noBytes;
  #inputEnd = 0;
  /** The look at what lies behind the first request of this read; 0: there was none. */
  #look = 0;
  /** From here on what was seen reaches not far enough. */
  #lookAgainAt = 0;

  constructor(options: SessionOptions<U>) {
    super(options);
    this.#options = options;
    this.#head = options.head;
    const { arena } = options;
    this.#reader = new FrameReader(this, arena.buffers, this.limits.frameBytesMax, this.isServer);
    const known = new KnownLine();
    const line = this.isServer ? known : undefined;
    this.#block = new FieldBlock(options.head, arena, this.limits.headerListBytesMax, line);
    this.#requests = new RequestSection(this.#block, this.offersConnect, known);
    this.#responses = new ResponseSection(this.#block);
    this.#trailers = new TrailerBlock(this.#block);
  }

  /** Takes octets, cut anywhere. It keeps none: what the sink keeps must not change afterwards. */
  receive(bytes: Uint8Array, from: number, to: number): void {
    if (this.failure !== undefined) return;
    this.#input = bytes;
    this.#inputEnd = to;
    this.#look = 0;
    const fault = this.#reader.read(bytes, from, to);
    this.#input = noBytes;
    if (fault !== undefined) this.failBy(fault);
  }

  /** Since when the rest of a head or of another frame is awaited (nowMs); 0: none is. */
  get halfSinceMs(): number {
    return this.#blockStream === 0 ? this.#reader.heldSinceMs : this.#blockSinceMs;
  }

  protected override stopped(): void {
    this.#reader.stop();
    this.#dropBlock();
  }

  // Frames, as the reader finds them.

  frame(reader: FrameReader): Fault | undefined {
    if (this.#blockStream !== 0) return this.#continues(reader);
    if (!this.isReady) {
      const sound = reader.type === FrameType.settings && (reader.flags & Flag.ack) === 0;
      if (!sound) return ConnectionFault.firstFrame;
    }
    switch (reader.type) {
      case FrameType.headers:
        return this.#headers(reader);
      case FrameType.priority:
        return this.priorityFrame(reader);
      case FrameType.rstStream:
        return this.rstStreamFrame(reader);
      case FrameType.settings:
        return this.settingsFrame(reader);
      case FrameType.pushPromise:
        return ConnectionFault.push;
      case FrameType.ping:
        return this.pingFrame(reader);
      case FrameType.goaway:
        return this.goawayFrame(reader);
      case FrameType.windowUpdate:
        return this.windowUpdateFrame(reader);
      case FrameType.continuation:
        return ConnectionFault.continuation;
      default:
        return this.extensionFrame(reader);
    }
  }

  dataBegins(reader: FrameReader): Fault | undefined {
    if (this.#blockStream !== 0) return ConnectionFault.interleaved;
    if (!this.isReady) return ConnectionFault.firstFrame;
    const { streamId, length } = reader;
    if (streamId === 0) return ConnectionFault.onConnection;
    this.receiveWindow -= length;
    if (this.receiveWindow < 0) return ConnectionFault.windowOverrun;
    this.#dataSeen = 0;
    this.#dataStream = undefined;
    const stream = this.streams.find(streamId);
    if (stream === undefined || stream.isClosed) return this.#dataAfterEnd(streamId, length);
    const fault = this.#judgeData(stream, length);
    if (fault !== undefined) {
      this.creditConnection(length);
      return this.streamFault(stream, fault);
    }
    stream.receiveWindow -= length;
    this.#dataStream = stream;
    return undefined;
  }

  #judgeData(stream: Stream<U>, length: number): Fault | undefined {
    if (stream.remoteEnded) return StreamFault.closed;
    if (!stream.headReceived) return Malformed.dataFirst;
    return length > stream.receiveWindow ? StreamFault.windowOverrun : undefined;
  }

  /** Content for a stream that is over: ours to forget, or the peer's fault (RFC 9113 5.1). */
  #dataAfterEnd(streamId: number, length: number): Fault | undefined {
    if (this.isIdle(streamId)) return ConnectionFault.idle;
    this.creditConnection(length);
    switch (this.streams.endingOf(streamId)) {
      case Ending.weReset:
        return length === 0 ? this.flood.take(FloodClass.ignored, this.nowMs) : undefined;
      case Ending.whole:
        return ConnectionFault.closed;
      default:
        this.out.rstStream(streamId, ErrorCode.streamClosed);
        return this.flood.take(FloodClass.provoked, this.nowMs);
    }
  }

  dataPart(bytes: Uint8Array, from: number, to: number): Fault | undefined {
    const stream = this.#dataStream;
    if (stream === undefined) return undefined;
    const length = to - from;
    this.#dataSeen += length;
    // The stream may have been reset since its frame began: by its user, in a call of the sink.
    if (stream.isReset || stream.released) {
      this.creditConnection(length);
      return undefined;
    }
    stream.contentReceived += length;
    if (stream.contentLength >= 0 && stream.contentReceived > stream.contentLength) {
      this.creditConnection(length);
      return this.streamFault(stream, Malformed.length);
    }
    stream.unconsumed += length;
    this.sink.dataArrived(stream, bytes, from, to);
    return undefined;
  }

  dataEnds(padding: number): Fault | undefined {
    const stream = this.#dataStream;
    if (stream === undefined) return undefined;
    this.#dataStream = undefined;
    const ends = (this.#reader.flags & Flag.endStream) !== 0;
    if (padding > 0) {
      // Padding is content that was consumed at once.
      if (stream.isReset) this.creditConnection(padding);
      else {
        stream.unconsumed += padding;
        this.consume(stream, padding);
      }
    }
    if (this.#dataSeen === 0 && !ends) return this.flood.take(FloodClass.emptyData, this.nowMs);
    return ends && !stream.isReset ? this.#messageEnds(stream) : undefined;
  }

  #headers(reader: FrameReader): Fault | undefined {
    const { payload, flags, streamId } = reader;
    let { from, to } = reader;
    if (streamId === 0) return ConnectionFault.onConnection;
    const skipped = (flags & Flag.padded) !== 0 ? 1 : 0;
    const prioritised = (flags & Flag.priority) !== 0 ? 5 : 0;
    if (to - from < skipped + prioritised) return ConnectionFault.frameSize;
    if (skipped > 0) {
      to -= payload[from]!;
      from++;
    }
    this.#blockDependsOnItself = prioritised > 0 && readUint31(payload, from) === streamId;
    from += prioritised;
    if (from > to) return ConnectionFault.padding;
    this.#blockEnds = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) return this.#fields(streamId, payload, from, to);
    this.#blockStream = streamId;
    this.#blockFrames = 1;
    this.#blockSinceMs = this.nowMs;
    return this.#gather(payload, from, to);
  }

  #continues(reader: FrameReader): Fault | undefined {
    const { payload, from, to, streamId } = reader;
    const sound = reader.type === FrameType.continuation && streamId === this.#blockStream;
    if (!sound) return ConnectionFault.interleaved;
    const last = (reader.flags & Flag.endHeaders) !== 0;
    if (++this.#blockFrames > this.limits.blockFramesMax) return Flood.continuation;
    const fault = this.#gather(payload, from, to);
    if (fault !== undefined || !last) return fault;
    this.#blockStream = 0;
    const result = this.#fields(streamId, this.#blockBytes, 0, this.#blockLength);
    this.#dropBlock();
    return result;
  }

  /** Keeps a piece of a field block until the rest is there: bounded in octets and in pieces. */
  #gather(bytes: Uint8Array, from: number, to: number): Fault | undefined {
    const length = this.#blockLength + to - from;
    if (length > this.limits.blockBytesMax) return Flood.continuation;
    if (length > this.#blockBytes.length) {
      const { buffers } = this.#options.arena;
      const larger = buffers.take(Math.max(length, 2 * this.#blockLength));
      copyRange.call(this.#blockBytes, larger, 0, 0, this.#blockLength);
      buffers.give(this.#blockBytes);
      this.#blockBytes = larger;
    }
    copyRange.call(bytes, this.#blockBytes, this.#blockLength, from, to);
    this.#blockLength = length;
    return undefined;
  }

  #dropBlock(): void {
    this.#options.arena.buffers.give(this.#blockBytes);
    this.#blockBytes = noBytes;
    this.#blockLength = 0;
    this.#blockStream = 0;
  }

  /** A whole field block: a head, trailers, or what is out of place but must be decoded. */
  #fields(streamId: number, bytes: Uint8Array, from: number, to: number): Fault | undefined {
    const stream = this.streams.find(streamId);
    if (stream !== undefined && !stream.isClosed) {
      const fault = this.#fieldsOf(stream, bytes, from, to);
      if (fault === undefined || fault.scope === "connection") return fault;
      return this.streamFault(stream, fault);
    }
    if (this.isServer && streamId > this.lastPeerId) {
      if (streamId % 2 === 0) return ConnectionFault.streamId;
      this.lastPeerId = streamId;
      return this.#request(streamId, bytes, from, to);
    }
    if (this.isIdle(streamId)) return ConnectionFault.idle;
    switch (this.streams.endingOf(streamId)) {
      case Ending.weReset:
        return this.#discard(bytes, from, to) ?? this.flood.take(FloodClass.ignored, this.nowMs);
      case Ending.unknown:
        return this.isServer ? ConnectionFault.streamId : ConnectionFault.closed;
      default:
        return ConnectionFault.closed;
    }
  }

  /** A new stream of the peer's. */
  #request(streamId: number, bytes: Uint8Array, from: number, to: number): Fault | undefined {
    const refusal = this.#refusal(streamId);
    if (refusal !== undefined) {
      const broken = this.#discard(bytes, from, to);
      return broken ?? this.#refuse(streamId, refusal);
    }
    const ended = this.#blockEnds;
    const fault = this.#requests.decode(bytes, from, to, ended);
    if (fault !== undefined) {
      return fault.scope === "connection" ? fault : this.#refuse(streamId, fault);
    }
    if (this.#blockDependsOnItself) return this.#refuse(streamId, Malformed.selfDependent);
    const head = this.#head;
    const stream = this.newStream(streamId);
    stream.requestMethod = head.method;
    stream.schemeIsHttps = this.#requests.schemeIsHttps;
    stream.isWebsocket = head.upgradesToWebsocket;
    stream.isTunnel = head.method === MethodId.connect || head.upgradesToWebsocket;
    stream.headReceived = true;
    stream.contentLength = head.framing === Framing.length ? head.contentLength : -1;
    if (!this.#isDoomed(streamId, ended)) return this.#deliver(stream, ended);
    stream.released = true;
    if (ended) this.endRemote(stream);
    return undefined;
  }

  /** A frame that was received with this request will reset it: nobody need hear of it. */
  #isDoomed(streamId: number, ended: boolean): boolean {
    const { nextAt } = this.#reader;
    if (nextAt === this.#inputEnd) return false;
    const { doomed } = this.#options.arena;
    if (this.#look === 0 || nextAt > this.#lookAgainAt) {
      this.#look = doomed.begin(this.peer.initialWindowBytes);
      if (ended) doomed.ends(streamId);
      const to = Math.min(this.#inputEnd, nextAt + LOOK_BYTES);
      doomed.look(this.#input, nextAt, to);
      this.#lookAgainAt = to === this.#inputEnd ? to : nextAt + LOOK_BYTES / 2;
    }
    return doomed.has(streamId, this.#look);
  }

  /** Why a new stream is not taken. */
  #refusal(streamId: number): Fault | undefined {
    if (streamId > this.lastServedId) return StreamFault.goingAway;
    return this.streamCount >= this.limits.streamsMax ? StreamFault.limit : undefined;
  }

  #deliver(stream: Stream<U>, ended: boolean): Fault | undefined {
    if (ended) this.endRemote(stream);
    this.sink.headArrived(stream, this.#head);
    if (ended && !stream.isReset && !stream.released) this.sink.streamEnded(stream);
    return undefined;
  }

  #fieldsOf(stream: Stream<U>, bytes: Uint8Array, from: number, to: number): Fault | undefined {
    const ended = this.#blockEnds;
    const misplaced = this.#misplaced(stream, ended);
    if (misplaced !== undefined) return this.#discard(bytes, from, to) ?? misplaced;
    if (stream.headReceived) {
      const fault = this.#trailers.decode(bytes, from, to);
      if (fault !== undefined) return fault;
      const { lines, from: start, to: end } = this.#trailers;
      if (!stream.released) this.sink.trailersArrived(stream, lines, start, end);
      return stream.isReset ? undefined : this.#messageEnds(stream);
    }
    const head = this.#head;
    head.requestMethod = stream.requestMethod;
    head.upgradeWasSent = stream.isWebsocket;
    const fault = this.#responses.decode(bytes, from, to, ended);
    if (fault !== undefined) return fault;
    if (head.status < 200 && head.status !== 101) {
      if (ended) return Malformed.interimEnds;
      this.sink.interimArrived(stream, head);
      return undefined;
    }
    stream.headReceived = true;
    stream.isTunnel = head.framing === Framing.tunnel;
    if (head.framing === Framing.none) stream.contentLength = 0;
    else if (head.framing === Framing.length) stream.contentLength = head.contentLength;
    return this.#deliver(stream, ended);
  }

  #misplaced(stream: Stream<U>, ended: boolean): Fault | undefined {
    if (stream.remoteEnded) return StreamFault.closed;
    if (this.#blockDependsOnItself) return Malformed.selfDependent;
    return stream.headReceived && !ended ? Malformed.headAgain : undefined;
  }

  /** END_STREAM: the content must be as long as it was said to be. */
  #messageEnds(stream: Stream<U>): Fault | undefined {
    const announced = stream.isTunnel ? -1 : stream.contentLength;
    if (announced >= 0 && stream.contentReceived !== announced) {
      return this.streamFault(stream, Malformed.length);
    }
    this.endRemote(stream);
    if (!stream.released) this.sink.streamEnded(stream);
    return undefined;
  }

  /** Decodes a field block for the table alone. */
  #discard(bytes: Uint8Array, from: number, to: number): Fault | undefined {
    this.#block.begin(bytes, from, to);
    return this.#block.discard();
  }

  /** A request that no stream is made for: answered, or reset. */
  #refuse(streamId: number, fault: Fault): Fault | undefined {
    if (fault.scope === "reply") this.#answer(streamId, fault);
    else this.out.rstStream(streamId, fault.code);
    this.streams.ended(streamId, Ending.weReset);
    this.sink.requestRefused(fault.failure, fault.detail);
    // A peer cannot know our limit before it has our SETTINGS.
    if (fault === StreamFault.limit && !this.isAcknowledged) return undefined;
    return this.flood.take(FloodClass.provoked, this.nowMs);
  }

  #answer(streamId: number, fault: Fault): void {
    const stream = new Stream<unknown>(this as StreamOwner<unknown>, streamId);
    const writer = new HeadBlockWriter();
    writer.begin(stream);
    writer.status(fault.failure.http);
    writer.add(new TextEncoder().encode(`x-mesh-reason: ${fault.failure.reason}\r\n`));
    writer.end(true);
    if (!this.#blockEnds) this.out.rstStream(streamId, ErrorCode.noError);
  }
}
