/**
 * The other end of an HTTP/2 session in tests: writes frames by hand, reads those that come back,
 * and notes as a transcript what the session's sink is told.
 */
import type { Failure } from "../core/failure.ts";
import { MessageHead } from "../http/message-head.ts";
import type { ErrorCode } from "../http2/error-code.ts";
import { Flag, FrameType, preface } from "../http2/frame.ts";
import { HeadArena } from "../http2/head-arena.ts";
import { HpackDecoder, Step } from "../http2/hpack-decoder.ts";
import { Session } from "../http2/session.ts";
import type { SessionOptions } from "../http2/session-options.ts";
import type { SessionSink } from "../http2/session-sink.ts";
import type { Stream } from "../http2/stream.ts";
import { latin1, octets } from "./http1-stream.ts";

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Uint8Array;
}

const typeNames = Object.keys(FrameType);
const codeNames = [
  ...["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT"],
  ...["STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR"],
  ...["CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"],
];

export function codeName(code: number): string {
  return codeNames[code] ?? String(code);
}

export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array | string,
): Uint8Array {
  const bytes = typeof payload === "string" ? octets(payload) : payload;
  const header = Buffer.alloc(9);
  header.writeUIntBE(bytes.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return join([header, bytes]);
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function uint32(...values: number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return new Uint8Array(bytes);
}

export function settings(...pairs: (readonly [id: number, value: number])[]): Uint8Array {
  const payload = pairs.map(([id, value]) => join([new Uint8Array([id >> 8, id]), uint32(value)]));
  return frame(FrameType.settings, 0, 0, join(payload));
}

/** Literals without indexing, without Huffman code and without any check. */
export function literals(fields: readonly (readonly [name: string, value: string])[]): Uint8Array {
  const parts = fields.flatMap(([name, value]) => [
    new Uint8Array([0]),
    ...[name, value].flatMap((text) => [length(text.length), octets(text)]),
  ]);
  return join(parts);
}

function length(value: number): Uint8Array {
  if (value < 127) return new Uint8Array([value]);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return new Uint8Array([...bytes, rest]);
}

/** HEADERS with END_HEADERS. */
export function headers(
  streamId: number,
  fields: readonly (readonly [name: string, value: string])[],
  ends = true,
): Uint8Array {
  const flags = Flag.endHeaders | (ends ? Flag.endStream : 0);
  return frame(FrameType.headers, flags, streamId, literals(fields));
}

export const getRequest: readonly (readonly [name: string, value: string])[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "a"],
];

/** What a client says before anything else. */
export const hello: Uint8Array = join([preface, settings()]);

export function readFrames(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  const view = Buffer.from(bytes);
  for (let at = 0; at < view.length; ) {
    const size = view.readUIntBE(at, 3);
    frames.push({
      type: view[at + 3]!,
      flags: view[at + 4]!,
      streamId: view.readUInt32BE(at + 5),
      payload: bytes.slice(at + 9, at + 9 + size),
    });
    at += 9 + size;
  }
  return frames;
}

/** Notes every call, and does nothing of its own. */
export class Transcript implements SessionSink<string> {
  readonly lines: string[] = [];
  readonly streams = new Map<number, Stream<string>>();
  readonly heads: MessageHead[] = [];
  body = "";
  failure: Failure | undefined = undefined;

  headArrived(stream: Stream<string>, head: MessageHead): void {
    this.streams.set(stream.id, stream);
    this.lines.push(`${stream.id} head ${describeHead(head)}`);
  }

  interimArrived(stream: Stream<string>, head: MessageHead): void {
    this.lines.push(`${stream.id} interim ${describeHead(head)}`);
  }

  dataArrived(stream: Stream<string>, bytes: Uint8Array, from: number, to: number): void {
    const text = latin1(bytes, from, to);
    this.body += text;
    const last = this.lines.length - 1;
    const start = `${stream.id} data `;
    if (this.lines[last]?.startsWith(start)) this.lines[last] += text;
    else this.lines.push(start + text);
  }

  trailersArrived(stream: Stream<string>, lines: Uint8Array, from: number, to: number): void {
    this.lines.push(`${stream.id} trailers ${latin1(lines, from, to).replaceAll("\r\n", "|")}`);
  }

  streamEnded(stream: Stream<string>): void {
    this.lines.push(`${stream.id} end`);
  }

  streamReset(stream: Stream<string>, failure: Failure, code: ErrorCode): void {
    this.lines.push(`${stream.id} reset ${failure.name} ${codeName(code)}`);
  }

  streamWritable(stream: Stream<string>): void {
    this.lines.push(`${stream.id} writable`);
  }

  requestRefused(failure: Failure, detail: string): void {
    this.lines.push(`refused ${failure.name}: ${detail}`);
  }

  settingsArrived(): void {}

  goawayArrived(code: number, lastStreamId: number): void {
    this.lines.push(`goaway ${lastStreamId} ${codeName(code)}`);
  }

  extensionArrived(type: number, payload: Uint8Array, from: number, to: number): void {
    this.lines.push(`extension ${type} ${latin1(payload, from, to)}`);
  }

  pongArrived(rttMs: number): void {
    this.lines.push(`pong ${rttMs}`);
  }

  sessionFailed(failure: Failure, detail: string, code: ErrorCode): void {
    this.failure = failure;
    this.lines.push(`failed ${failure.name}: ${detail} ${codeName(code)}`);
  }
}

function describeHead(head: MessageHead): string {
  return head.text(head.start, head.end - 2).replaceAll("\r\n", "|");
}

export type PeerOptions = Partial<SessionOptions<string>> & { readonly sink?: Transcript };

/** A session and the peer that it talks to. */
export class Peer {
  readonly sink: Transcript;
  readonly session: Session<string>;
  readonly #decoder = new HpackDecoder(4096);

  constructor(role: "server" | "client", options: PeerOptions = {}) {
    const { sink = new Transcript() } = options;
    this.sink = sink;
    const made = { role, head: new MessageHead(), arena: new HeadArena(), ...options, sink };
    this.session = new Session<string>(made);
    this.session.start();
  }

  /** A session that has exchanged SETTINGS; what it said so far is forgotten. */
  static ready(role: "server" | "client", options: PeerOptions = {}): Peer {
    const peer = new Peer(role, options);
    peer.says(role === "server" ? hello : settings());
    peer.says(frame(FrameType.settings, Flag.ack, 0, ""));
    peer.take();
    return peer;
  }

  says(...parts: Uint8Array[]): void {
    for (const part of parts) this.session.receive(part, 0, part.length);
  }

  /** All that waits in the output, taken. */
  take(): Uint8Array {
    const { output, outputStart, outputEnd } = this.session;
    const bytes = output.slice(outputStart, outputEnd);
    if (bytes.length > 0) this.session.outputTaken(bytes.length);
    return bytes;
  }

  /** The frames that wait, described and taken. */
  hears(): string[] {
    return readFrames(this.take()).map((one) => this.#describe(one));
  }

  /** What the sink was told since the last time. */
  told(): string[] {
    return this.sink.lines.splice(0);
  }

  #describe({ type, flags, streamId, payload }: Frame): string {
    const view = Buffer.from(payload);
    const name = `${streamId} ${typeNames[type] ?? type}`;
    const ends = (flags & Flag.endStream) !== 0 ? " end" : "";
    switch (type) {
      case FrameType.data:
        return `${name} ${latin1(payload, 0, payload.length)}${ends}`;
      case FrameType.headers:
      case FrameType.continuation:
        return `${name} ${this.#fields(payload).join("|")}${ends}`;
      case FrameType.rstStream:
        return `${name} ${codeName(view.readUInt32BE(0))}`;
      case FrameType.goaway:
        return [
          `${name} ${view.readUInt32BE(0)} ${codeName(view.readUInt32BE(4))}`,
          latin1(payload, 8, payload.length),
        ]
          .join(" ")
          .trimEnd();
      case FrameType.windowUpdate:
        return `${name} ${view.readUInt32BE(0)}`;
      case FrameType.settings:
      case FrameType.ping:
        return `${name}${(flags & Flag.ack) !== 0 ? " ack" : ""} ${view.toString("hex")}`.trimEnd();
      default:
        return name;
    }
  }

  #fields(block: Uint8Array): string[] {
    return decodeLines(this.#decoder, block) ?? ["broken"];
  }
}

/** The lines of a block without their CRLF; undefined where it is broken. */
export function decodeLines(decoder: HpackDecoder, block: Uint8Array): string[] | undefined {
  const lines: string[] = [];
  decoder.begin(block, 0, block.length);
  decoder.out = new Uint8Array(0);
  decoder.at = 0;
  for (;;) {
    const step = decoder.next();
    if (step === Step.end) return lines;
    if (step === Step.broken) return undefined;
    if (step === Step.room) decoder.out = new Uint8Array(decoder.needed);
    else lines.push(latin1(decoder.out, 0, decoder.lineEnd - 2));
  }
}
