/**
 * What an exchange costs in HTTP/2: `bun src/http2/session.bench.ts`.
 *
 * A request is decoded by a server's session and written again by a client's, its response the
 * other way; variants run interleaved in one process, figures are the best of many short rounds.
 */
import { MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { octets } from "../testing/http1-stream.ts";
import { join, Peer } from "../testing/http2-peer.ts";
import { BufferPool } from "./buffer-pool.ts";
import { FieldBlock } from "./field-block.ts";
import { HeadArena } from "./head-arena.ts";
import { HeadBlockWriter } from "./head-block-writer.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
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
  const block = new FieldBlock(new MessageHead(), new HeadArena(), 61440);
  const section = new RequestSection(block, true);
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

const relay = new Relay();
relay.server.start();
relay.client.start();
const say = (session: Session<Stream>, bytes: Uint8Array): void =>
  session.receive(bytes, 0, bytes.length);
const hello = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const noSettings = new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0]);
say(relay.server, join([hello, noSettings]));
say(relay.client, noSettings);
let streamId = 1;
let turn = 0;
const body = new Uint8Array(1024).fill(120);

function headersOf(block: Uint8Array, id: number, flags: number): Uint8Array {
  const bytes = new Uint8Array(9 + block.length);
  bytes.set([0, block.length >> 8, block.length, 1, flags]);
  new DataView(bytes.buffer).setUint32(5, id);
  bytes.set(block, 9);
  return bytes;
}

const data = join([new Uint8Array([0, 4, 0, 0, 1, 0, 0, 0, 0]), body]);
const dataView = new DataView(data.buffer);

/** One exchange with a body of 1 KiB, all of its frames included. */
function exchange(): number {
  const at = turn < warm ? turn : warm + (turn % 50);
  turn++;
  say(relay.server, headersOf(requestBlocks[at]!, streamId, 5));
  relay.client.outputTaken(relay.client.outputEnd - relay.client.outputStart);
  say(relay.client, headersOf(responseBlocks[at]!, streamId, 4));
  dataView.setUint32(5, streamId);
  say(relay.client, data);
  const sent = relay.server.outputEnd - relay.server.outputStart;
  relay.server.outputTaken(sent);
  streamId += 2;
  if (turn % 16 === 0) {
    say(relay.server, new Uint8Array([0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 64, 0]));
  }
  return sent > 1024 ? 1 : -1e9;
}

const variants: Readonly<Record<string, () => number>> = {
  "request in (10 fields)": requestIn.next,
  "request out": () => writeRequest(requestIn.head),
  "request in + out": () => requestIn.next() + writeRequest(requestIn.head),
  "response in (8 fields)": responseIn.next,
  "response out": () => writeResponse(responseIn.head),
  "whole exchange, 1 KiB": exchange,
};

const rounds = 60;
const calls = 5_000;
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
