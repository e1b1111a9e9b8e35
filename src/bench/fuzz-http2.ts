/**
 * Inputs and judgements for fuzzing HTTP/2: field blocks against a plain oracle, and sessions
 * against themselves in other pieces. Heads that a session reports must be what HTTP/1.1 reads.
 */
import { type Random, seededRandom } from "../core/random.ts";
import type { MessageHead } from "../http/message-head.ts";
import { DoomedStreams } from "../http2/doomed-streams.ts";
import { ErrorCode } from "../http2/error-code.ts";
import { Flag, FrameType } from "../http2/frame.ts";
import { HeadArena } from "../http2/head-arena.ts";
import { HeadBlockWriter } from "../http2/head-block-writer.ts";
import { HpackDecoder } from "../http2/hpack-decoder.ts";
import type { Stream } from "../http2/stream.ts";
import { headDifference } from "../testing/head-equivalence.ts";
import { latin1, octets } from "../testing/http1-stream.ts";
import {
  decodeLines,
  frame,
  hello,
  literals,
  Peer,
  readFrames,
  Transcript,
  uint32,
} from "../testing/http2-peer.ts";
import { damaged } from "./fuzz-input.ts";
import { HpackOracle } from "./hpack-oracle.ts";

const pick = <T>(random: Random, from: readonly T[]): T =>
  from[Math.floor(random() * from.length)]!;
const below = (random: Random, count: number): number => Math.floor(random() * count);

const names = [
  ...[":method", ":path", ":scheme", ":authority", ":status", ":protocol", ":x", "host", "cookie"],
  ...["cookie", "te", "content-length", "x", "x-long-name", "X", "", "connection", "expect", "a b"],
];
const values = [
  ...[
    "GET",
    "CONNECT",
    "OPTIONS",
    "/",
    "*",
    "/a?b",
    "http",
    "https",
    "a",
    "a:80",
    "b",
    "200",
    "103",
  ],
  ...[
    "websocket",
    "trailers",
    "0",
    "3",
    "100-continue",
    "",
    " x",
    "x\r\n",
    "v".repeat(300),
    "\xe9",
  ],
];

function field(random: Random): string {
  const kind = below(random, 10);
  if (kind < 5) return String.fromCharCode(0x80 + below(random, random() < 0.7 ? 20 : 75));
  if (kind === 9) return String.fromCharCode(0x20 + below(random, 31));
  const pattern = pick(random, [0x40, 0x40, 0x00, 0x10]);
  const value = latin1Literal(pick(random, values));
  if (random() < 0.5) return String.fromCharCode(pattern + 1 + below(random, 14)) + value;
  return String.fromCharCode(pattern) + latin1Literal(pick(random, names)) + value;
}

function latin1Literal(text: string): string {
  const bytes = literals([["", text]]);
  return latin1(bytes, 2, bytes.length);
}

/** Blocks of one connection, each after its length in two octets. */
export function randomBlocks(random: Random): string {
  return Array.from({ length: 1 + below(random, 6) }, () => {
    const fields = Array.from({ length: below(random, 12) }, () => field(random)).join("");
    const block = random() < 0.3 ? damaged(random, fields) : fields;
    return String.fromCharCode(block.length >> 8, block.length & 255) + block;
  }).join("");
}

export function judgeBlocks(text: string): string | undefined {
  const decoder = new HpackDecoder(4096);
  const oracle = new HpackOracle();
  for (let at = 0; at + 2 <= text.length; ) {
    const length = text.charCodeAt(at) * 256 + text.charCodeAt(at + 1);
    const block = text.slice(at + 2, at + 2 + length);
    at += 2 + length;
    const found = decodeLines(decoder, octets(block));
    const wanted = oracle.decode(block);
    if (JSON.stringify(found) !== JSON.stringify(wanted)) {
      return `decodes to ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`;
    }
    if (found === undefined) return undefined;
  }
  return undefined;
}

const request: readonly (readonly [string, string])[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a"],
  [":authority", "a"],
];

function block(random: Random): Uint8Array {
  if (random() < 0.6) {
    const more = Array.from(
      { length: below(random, 4) },
      () => [pick(random, names), pick(random, values)] as const,
    );
    return literals(
      random() < 0.6 ? [...request, ...more.filter(([name]) => /^[a-z-]+$/.test(name))] : more,
    );
  }
  return octets(Array.from({ length: below(random, 8) }, () => field(random)).join(""));
}

function someFrame(random: Random): Uint8Array {
  const id = pick(random, [0, 1, 1, 3, 3, 5, 7, 2, 9]);
  const flags = pick(random, [0, Flag.endStream, Flag.endHeaders, Flag.endHeaders, 5, 8, 13, 37]);
  const text = "x".repeat(below(random, 40));
  switch (below(random, 14)) {
    case 0:
    case 1:
    case 2:
      return frame(FrameType.data, flags & 9, id, random() < 0.5 ? `\x02${text}` : text);
    case 3:
      return frame(FrameType.rstStream, 0, id, uint32(below(random, 15)));
    case 4:
      return frame(
        FrameType.settings,
        0,
        0,
        latin1(uint32(0x40000 + below(random, 9)), 0, 4) + latin1(uint32(below(random, 99)), 2, 4),
      );
    case 5:
      return frame(FrameType.windowUpdate, 0, id, uint32(below(random, 50)));
    case 6:
      return frame(FrameType.ping, below(random, 2), 0, "12345678");
    case 7:
      return frame(FrameType.continuation, pick(random, [0, 4]), id, block(random));
    case 8:
      return frame(below(random, 12), flags, id, text);
    default:
      return frame(FrameType.headers, flags & 5, id, block(random));
  }
}

/** What a client may send after its preface. */
export function randomFrames(random: Random): string {
  const frames = Array.from({ length: 1 + below(random, 14) }, () => someFrame(random));
  const text = frames.map((bytes) => latin1(bytes, 0, bytes.length)).join("");
  return random() < 0.3 ? damaged(random, text) : text;
}

/** Compares each head with HTTP/1.1, and does something with its stream. */
class Judge extends Transcript {
  problem: string | undefined = undefined;
  readonly #writer = new HeadBlockWriter();

  override headArrived(stream: Stream<string>, head: MessageHead): void {
    super.headArrived(stream, head);
    this.problem ??= headDifference(head);
    // By the stream, so that cuts of the input change nothing.
    switch ((stream.id >> 1) % 4) {
      case 0:
        if (!this.#writer.begin(stream)) return;
        this.#writer.status(200);
        this.#writer.fields(head);
        this.#writer.end(false);
        stream.write(octets("answer".repeat(30)), 0, 180);
        break;
      case 1:
        stream.release();
        break;
      case 2:
        stream.reset(ErrorCode.internalError);
        break;
      default:
    }
  }

  override streamEnded(stream: Stream<string>): void {
    super.streamEnded(stream);
    if (stream.headSent) stream.end();
    stream.release();
  }

  override dataArrived(stream: Stream<string>, bytes: Uint8Array, from: number, to: number): void {
    super.dataArrived(stream, bytes, from, to);
    stream.consumed(to - from);
  }
}

/**
 * Sees no reset ahead: a request whose reset came in the same piece would reach nobody, and how the
 * input is cut would make a difference, as it should. doomed-streams.test.ts is about that.
 */
class ShortSighted extends DoomedStreams {
  override has(): boolean {
    return false;
  }
}

export function judgeFrames(text: string, seed: number): string | undefined {
  const bytes = octets(text);
  const [whole, problem] = play([bytes]);
  if (problem !== undefined) return problem;
  const random = seededRandom(seed);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + below(random, 12));
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  const [cut] = play(parts);
  return cut === whole ? undefined : `in pieces: ${cut}, whole: ${whole}`;
}

function play(parts: readonly Uint8Array[]): [said: string, problem?: string] {
  const sink = new Judge();
  const arena = Object.assign(new HeadArena(), { doomed: new ShortSighted() });
  const peer = new Peer("server", { sink, arena });
  peer.says(hello);
  for (const part of parts) peer.says(part);
  const { output, outputStart, outputEnd } = peer.session;
  const said = output.slice(outputStart, outputEnd);
  for (const stream of sink.streams.values()) stream.release();
  const frames = readFrames(said).map(({ type, flags, streamId, payload }) => {
    return `${type}/${flags}@${streamId}:${latin1(payload, 0, payload.length)}`;
  });
  const transcript = [...sink.lines, ...frames].join("\n");
  if (sink.problem !== undefined) return [transcript, sink.problem];
  const left = peer.session.streamCount;
  return left === 0 ? [transcript] : [transcript, `${left} streams are left`];
}
