/**
 * What an exchange costs in HTTP/2: `bun src/http2/session.bench.ts`.
 *
 * A request is decoded by a server's session and written again by a client's, its response the
 * other way; variants run interleaved in one process, figures are the best of many rounds,
 * each shorter than a slice of the scheduler.
 */
import { MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { octets } from "../testing/http1-stream.ts";
import { join, Peer } from "../testing/http2-peer.ts";
import { BufferPool } from "./buffer-pool.ts";
import { FieldBlock } from "./field-block.ts";
import { preface, writeUint32 } from "./frame.ts";
import { HeadArena } from "./head-arena.ts";
import { HeadBlockWriter } from "./head-block-writer.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { KnownLine } from "./known-line.ts";
import { OutputBuffer } from "./output-buffer.ts";
import { RequestSection } from "./request-section.ts";
import { ResponseSection } from "./response-section.ts";
import { Session } from "./session.ts";
import type { SessionSink } from "./session-sink.ts";
import type { Stream } from "./stream.ts";

type Fields = readonly (readonly [name: string, value: string])[];
const request: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/api/v1/reviews/0?full=1"],
  [":authority", "reviews.default.svc.cluster.local:9080"],
  ["user-agent", "curl/8.5.0"],
  ["accept", "application/json"],
  ["accept-encoding", "gzip, deflate, br"],
  ["x-forwarded-proto", "http"],
  ["x-request-id", "7f2c1c7e-5f0b-4a54-9df1-0b6a3b6d2f10"],
  ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
];
const response: Fields = [
  [":status", "200"],
  ["server", "nginx/1.22.1"],
  ["date", "Sun, 22 Nov 2026 17:00:00 GMT"],
  ["content-type", "application/json"],
  ["content-length", "1024"],
  ["cache-control", "no-cache"],
  ["vary", "accept-encoding"],
  ["etag", '"5f0b4a549df1"'],
];

/** The block that an encoder like ours makes of the list when it comes for the nth time. */
function blocks(list: Fields, count: number, unique: readonly string[]): Uint8Array[] {
  const out = new OutputBuffer(new BufferPool());
  const encoder = new HpackEncoder(out);
  return Array.from({ length: count }, (_, i) => {
    for (const [name, value] of list) {
      const said = unique.includes(name) ? String(i).padStart(value.length, "0") : value;
      encoder.bytes = octets(`${name}: ${said}\r\n`);
      encoder.kind = 0;
      encoder.nameStart = 0;
      encoder.nameEnd = name.length;
      encoder.valueStart = name.length + 2;
      encoder.valueEnd = name.length + 2 + said.length;
      encoder.put();
    }
    const block = out.bytes.slice(out.start, out.end);
    out.taken(out.length);
    return block;
  });
}

const unique = ["x-request-id", "traceparent"];
const requestBlocks = blocks(request, 300, unique);
const responseBlocks = blocks(response, 300, []);
const warm = 200;

function requestReader(): { next: () => number; head: MessageHead } {
  const known = new KnownLine();
  const block = new FieldBlock(new MessageHead(), new HeadArena(), 61440, known);
  const section = new RequestSection(block, true, known);
  for (const bytes of requestBlocks.slice(0, warm)) section.decode(bytes, 0, bytes.length, true);
  let i = 0;
  return {
    head: block.head,
    next: () => {
      const bytes = requestBlocks[warm + (i++ % 50)]!;
      return section.decode(bytes, 0, bytes.length, true) === undefined ? 1 : -1e9;
    },
  };
}

function responseReader(): { next: () => number; head: MessageHead } {
  const block = new FieldBlock(new MessageHead(), new HeadArena(), 61440);
  block.head.requestMethod = MethodId.get;
  const section = new ResponseSection(block);
  for (const bytes of responseBlocks.slice(0, warm)) section.decode(bytes, 0, bytes.length, false);
  let i = 0;
  return {
    head: block.head,
    next: () => {
      const bytes = responseBlocks[warm + (i++ % 50)]!;
      return section.decode(bytes, 0, bytes.length, false) === undefined ? 1 : -1e9;
    },
  };
}

const writer = new HeadBlockWriter();
const requestIn = requestReader();
const responseIn = responseReader();
requestIn.next();
responseIn.next();
const client = Peer.ready("client");
const reused = client.session.open("bench")!;

function writeRequest(head: MessageHead): number {
  reused.headSent = false;
  reused.state = 0;
  writer.begin(reused);
  writer.request(head, undefined, undefined);
  writer.fields(head);
  writer.end(false);
  const { out } = client.session;
  out.taken(out.length);
  return 1;
}

function writeResponse(head: MessageHead): number {
  reused.headSent = false;
  reused.state = 0;
  writer.begin(reused);
  writer.response(head);
  writer.fields(head);
  writer.end(false);
  const { out } = client.session;
  out.taken(out.length);
  return 1;
}

/** A proxy of nothing but codecs: downstream session, upstream session, and back. */
class Relay implements SessionSink<Stream> {
  readonly server: Session<Stream>;
  readonly client: Session<Stream>;

  constructor() {
    const [arena, sink] = [new HeadArena(), this as SessionSink<Stream>];
    this.server = new Session({ role: "server", sink, head: new MessageHead(), arena });
    this.client = new Session({ role: "client", sink, head: new MessageHead(), arena });
  }

  headArrived(stream: Stream<Stream>, head: MessageHead): void {
    if (stream.owner === this.server) {
      const upstream = this.client.open(stream)!;
      stream.user = upstream;
      writer.begin(upstream);
      writer.request(head, undefined, undefined);
      writer.fields(head);
      writer.end(false);
    } else {
      writer.begin(stream.user!);
      writer.response(head);
      writer.fields(head);
      writer.end(false);
    }
  }

  dataArrived(stream: Stream<Stream>, bytes: Uint8Array, from: number, to: number): void {
    stream.user!.write(bytes, from, to - from);
    stream.consumed(to - from);
  }

  streamEnded(stream: Stream<Stream>): void {
    const other = stream.user!;
    other.end();
    if (stream.owner === this.server) return;
    other.release();
    stream.release();
  }

  interimArrived(): void {}
  trailersArrived(): void {}
  streamReset(): void {}
  streamWritable(): void {}
  requestRefused(): void {}
  settingsArrived(): void {}
  goawayArrived(): void {}
  pongArrived(): void {}
  sessionFailed(): void {}
}

const say = (session: Session<Stream>, bytes: Uint8Array): void =>
  session.receive(bytes, 0, bytes.length);

/** A frame whose stream is written into it for each use. */
function framed(type: number, flags: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  return join([new Uint8Array([0, length >> 8, length, type, flags, 0, 0, 0, 0]), payload]);
}

/** One exchange with a body of 1 KiB, all of its frames included. */
function relayed(): () => number {
  const relay = new Relay();
  relay.server.start();
  relay.client.start();
  say(relay.server, join([preface, framed(4, 0, new Uint8Array(0))]));
  say(relay.client, framed(4, 0, new Uint8Array(0)));
  const requests = requestBlocks.map((block) => framed(1, 5, block));
  const responses = responseBlocks.map((block) => framed(1, 4, block));
  const data = framed(0, 1, new Uint8Array(1024).fill(120));
  const more = framed(8, 0, new Uint8Array([0, 0, 64, 0]));
  let streamId = 1;
  let turn = 0;
  const sayOn = (session: Session<Stream>, frame: Uint8Array): void => {
    writeUint32(frame, 5, streamId);
    say(session, frame);
  };
  return () => {
    const at = turn < warm ? turn : warm + (turn % 50);
    turn++;
    sayOn(relay.server, requests[at]!);
    relay.client.outputTaken(relay.client.outputEnd - relay.client.outputStart);
    sayOn(relay.client, responses[at]!);
    sayOn(relay.client, data);
    const sent = relay.server.outputEnd - relay.server.outputStart;
    relay.server.outputTaken(sent);
    if (turn % 16 === 0) say(relay.server, more);
    streamId += 2;
    return sent > 1024 ? 1 : -1e9;
  };
}

const variants: Readonly<Record<string, () => number>> = {
  "request in (10 fields)": requestIn.next,
  "request out": () => writeRequest(requestIn.head),
  "request in + out": () => requestIn.next() + writeRequest(requestIn.head),
  "response in (8 fields)": responseIn.next,
  "response out": () => writeResponse(responseIn.head),
  "whole exchange, 1 KiB": relayed(),
};

const rounds = 2_000;
const calls = 200;
const times = new Map<string, number[]>(Object.keys(variants).map((name) => [name, []]));

function measure(): number {
  let sum = 0;
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(variants)) {
      const start = Bun.nanoseconds();
      for (let i = 0; i < calls; i++) sum += run();
      times.get(name)!.push((Bun.nanoseconds() - start) / calls);
    }
  }
  return sum;
}

const sum = measure();
for (const [name, samples] of times) {
  console.log(
    `${name.padEnd(26)} ${Math.min(...samples)
      .toFixed(0)
      .padStart(6)} ns`,
  );
}
if (sum < 0) console.log("something failed");
