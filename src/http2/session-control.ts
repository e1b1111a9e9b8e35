/**
 * Frames that say something of the connection or of a stream, and bring no message: what a session
 * does on SETTINGS, PING, GOAWAY, WINDOW_UPDATE, PRIORITY and RST_STREAM (RFC 9113 6).
 */
import { ErrorCode } from "./error-code.ts";
import { ConnectionFault, type Fault, Malformed, StreamFault } from "./fault.ts";
import { FloodClass } from "./flood-guard.ts";
import { Flag, FrameType, readUint31, readUint32, windowMax } from "./frame.ts";
import type { FrameReader } from "./frame-reader.ts";
import { SessionBase } from "./session-base.ts";
import type { Stream } from "./stream.ts";
import { Ending } from "./stream-table.ts";

export abstract class SessionControl<U> extends SessionBase<U> {
  /** Resets a stream for the peer's fault; too many of them end the connection (CVE-2025-8671). */
  protected streamFault(stream: Stream<U>, fault: Fault): Fault | undefined {
    if (!stream.isReset) {
      const unheard = stream.released && stream.isClosed;
      this.resetStream(stream, fault.code);
      stream.isReset = true;
      if (!unheard) {
        const failure = this.isServer ? fault.failure : fault.upstream;
        this.sink.streamReset(stream, failure, fault.code);
      }
    }
    return this.flood.take(FloodClass.provoked, this.nowMs);
  }

  protected priorityFrame(reader: FrameReader): Fault | undefined {
    const { streamId, payload, from, length } = reader;
    if (streamId === 0) return ConnectionFault.onConnection;
    const stream = this.streams.find(streamId);
    const open = stream !== undefined && !stream.isClosed;
    if (length !== 5) {
      return open ? this.streamFault(stream, StreamFault.prioritySize) : ConnectionFault.frameSize;
    }
    if (readUint31(payload, from) === streamId) {
      return open
        ? this.streamFault(stream, Malformed.selfDependent)
        : ConnectionFault.selfDependent;
    }
    return this.flood.take(FloodClass.ignored, this.nowMs);
  }

  protected rstStreamFrame(reader: FrameReader): Fault | undefined {
    const { streamId, length } = reader;
    if (streamId === 0) return ConnectionFault.onConnection;
    if (length !== 4) return ConnectionFault.frameSize;
    if (this.isIdle(streamId)) return ConnectionFault.idle;
    const code = readUint32(reader.payload, reader.from);
    const stream = this.streams.find(streamId);
    if (stream === undefined || stream.isClosed) {
      // What was on its way when we reset the stream is behind this frame (RFC 9113 5.1).
      if (this.streams.endingOf(streamId) === Ending.weReset)
        this.streams.ended(streamId, Ending.peerReset);
      return this.flood.take(FloodClass.ignored, this.nowMs);
    }
    this.abandon(stream, this.resetFailure(code), code as ErrorCode);
    return this.isServer ? this.flood.take(FloodClass.reset, this.nowMs) : undefined;
  }

  protected settingsFrame(reader: FrameReader): Fault | undefined {
    const { flags, length, payload, streamId } = reader;
    if (streamId !== 0) return ConnectionFault.onStream;
    if ((flags & Flag.ack) !== 0) {
      if (length !== 0) return ConnectionFault.frameSize;
      this.isAcknowledged = true;
      return undefined;
    }
    if (length % 6 !== 0) return ConnectionFault.frameSize;
    const flood = this.flood.take(FloodClass.settings, this.nowMs);
    if (flood !== undefined) return flood;
    const { peer } = this;
    const window = peer.initialWindowBytes;
    for (let at = reader.from; at < reader.to; at += 6) {
      const id = (payload[at]! << 8) | payload[at + 1]!;
      const fault = peer.apply(id, readUint32(payload, at + 2));
      if (fault !== undefined) return fault;
    }
    this.encoder.resize(peer.headerTableBytes);
    const change = peer.initialWindowBytes - window;
    if (change !== 0 && !this.#changeWindows(change)) return ConnectionFault.windowTooWide;
    this.out.frame(0, FrameType.settings, Flag.ack, 0);
    this.isReady = true;
    if (change > 0) this.send.wake();
    this.sink.settingsArrived();
    return undefined;
  }

  #changeWindows(change: number): boolean {
    let sound = true;
    this.streams.each((stream) => {
      stream.sendWindow += change;
      if (stream.sendWindow > windowMax) sound = false;
    });
    return sound;
  }

  protected pingFrame(reader: FrameReader): Fault | undefined {
    if (reader.streamId !== 0) return ConnectionFault.onStream;
    if (reader.length !== 8) return ConnectionFault.frameSize;
    if ((reader.flags & Flag.ack) === 0) {
      this.out.ping(Flag.ack, reader.payload, reader.from);
      return this.flood.take(FloodClass.ping, this.nowMs);
    }
    if (!this.isPong(reader.payload, reader.from)) {
      return this.flood.take(FloodClass.ignored, this.nowMs);
    }
    const rttMs = this.nowMs - this.pingSentMs;
    this.pingSentMs = 0;
    this.finishDrain();
    this.sink.pongArrived(rttMs);
    return undefined;
  }

  protected goawayFrame(reader: FrameReader): Fault | undefined {
    const { payload, from } = reader;
    if (reader.streamId !== 0) return ConnectionFault.onStream;
    if (reader.length < 8) return ConnectionFault.frameSize;
    const lastId = readUint31(payload, from);
    const code = readUint32(payload, from + 4);
    this.isGoingAway = true;
    if (!this.isServer) this.unprocessed(lastId, code);
    this.sink.goawayArrived(code, lastId);
    return this.flood.take(FloodClass.ignored, this.nowMs);
  }

  protected windowUpdateFrame(reader: FrameReader): Fault | undefined {
    const { streamId } = reader;
    if (reader.length !== 4) return ConnectionFault.frameSize;
    const increment = readUint31(reader.payload, reader.from);
    for (; this.send.framesSent > 0; this.send.framesSent--) {
      this.flood.credit(FloodClass.window);
      this.flood.credit(FloodClass.window);
    }
    const flood = this.flood.take(FloodClass.window, this.nowMs);
    if (flood !== undefined) return flood;
    if (streamId === 0) {
      if (increment === 0) return ConnectionFault.windowZero;
      this.send.window += increment;
      if (this.send.window > windowMax) return ConnectionFault.windowTooWide;
      this.send.wake();
      return undefined;
    }
    if (this.isIdle(streamId)) return ConnectionFault.idle;
    const stream = this.streams.find(streamId);
    if (stream === undefined || stream.isClosed) {
      // It may have crossed with the end of our answer; a window of nothing is wrong all the same.
      if (increment !== 0 || this.streams.endingOf(streamId) !== Ending.whole) return undefined;
      this.out.rstStream(streamId, ErrorCode.protocolError);
      this.streams.ended(streamId, Ending.weReset);
      return this.flood.take(FloodClass.provoked, this.nowMs);
    }
    if (increment === 0) return this.streamFault(stream, StreamFault.windowZero);
    stream.sendWindow += increment;
    if (stream.sendWindow > windowMax) return this.streamFault(stream, StreamFault.windowTooWide);
    if (stream.waits) this.send.wake();
    return undefined;
  }

  /** Of a type that we do not know: whoever uses the session may (RFC 9113 5.5). */
  protected extensionFrame(reader: FrameReader): Fault | undefined {
    const { type, streamId, payload, from, to } = reader;
    const flood = this.flood.take(FloodClass.ignored, this.nowMs);
    if (flood === undefined && streamId === 0)
      this.sink.extensionArrived?.(type, payload, from, to);
    return flood;
  }

  /** Never used by the side that opens streams with such an identifier. */
  protected isIdle(streamId: number): boolean {
    const own = !this.isServer === (streamId % 2 === 1);
    return streamId > (own ? this.lastOwnId : this.lastPeerId);
  }
}
