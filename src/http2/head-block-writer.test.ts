/** Heads of either version as field blocks, read back by a decoder. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../core/random.ts";
import { MessageHead } from "../http/message-head.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import { scanResponseHead } from "../http1/response-head.ts";
import { octets } from "../testing/http1-stream.ts";
import { decodeLines, getRequest, headers, Peer, settings } from "../testing/http2-peer.ts";
import { BufferPool } from "./buffer-pool.ts";
import { HeadBlockWriter } from "./head-block-writer.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { OutputBuffer } from "./output-buffer.ts";

const writer = new HeadBlockWriter();

function requestHead(text: string): MessageHead {
  const head = new MessageHead();
  const bytes = octets(`${text.replaceAll("|", "\r\n")}\r\n`);
  expect(scanRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  return head;
}

interface Overrides {
  readonly target?: string;
  readonly authority?: string;
  readonly drop?: number;
}

function send(text: string, { target, authority, drop }: Overrides = {}): string {
  const peer = Peer.ready("client");
  const head = requestHead(text);
  if (drop !== undefined) head.dropped[drop] = 1;
  const stream = peer.session.open("x")!;
  expect(writer.begin(stream)).toBe(true);
  const bytes = (one: string | undefined): Uint8Array | undefined =>
    one === undefined ? undefined : octets(one);
  writer.request(head, bytes(target), bytes(authority));
  writer.fields(head);
  writer.end(true);
  return peer.hears()[0]!.replace("1 headers ", "").replace(" end", "");
}

const pseudo = (path: string, authority: string): string =>
  `:method: GET|:scheme: http|:path: ${path}|:authority: ${authority}`;

describe("a request of HTTP/1.1 becomes", () => {
  const rows: readonly (readonly [name: string, head: string, fields: string])[] = [
    ["itself", "GET /a?b HTTP/1.1|Host: c|X-Y: Zz|", `${pseudo("/a?b", "c")}|x-y: Zz`],
    ["of its target", "GET http://c:8/a?b HTTP/1.1|Host: C:8|", pseudo("/a?b", "c:8")],
    ["with a path", "GET http://c HTTP/1.1|Host: c|", pseudo("/", "c")],
    ["with a path and its query", "GET http://c?d HTTP/1.1|Host: c|", pseudo("/?d", "c")],
    ["of any method", "BREW / HTTP/1.1|Host: c|", pseudo("/", "c").replace("GET", "BREW")],
    ["for the server", "OPTIONS * HTTP/1.1|Host: c|", pseudo("*", "c").replace("GET", "OPTIONS")],
    [
      "for the server by its address",
      "OPTIONS http://c HTTP/1.1|Host: c|",
      pseudo("*", "c").replace("GET", "OPTIONS"),
    ],
    ["a tunnel", "CONNECT c:1 HTTP/1.1|Host: c:1|", ":method: CONNECT|:authority: c:1"],
    [
      "without what is for one hop",
      "GET / HTTP/1.1|Host: c|Connection: x|X: 1|Keep-Alive: 5|Proxy-Connection: x|TE: gzip|Y: 2|",
      `${pseudo("/", "c")}|y: 2`,
    ],
    [
      "without transfer-encoding",
      "GET / HTTP/1.1|Host: c|Transfer-Encoding: chunked|",
      pseudo("/", "c"),
    ],
    [
      "with trailers allowed",
      "GET / HTTP/1.1|Host: c|TE: trailers|Connection: te|",
      `${pseudo("/", "c")}|te: trailers`,
    ],
    [
      "with secrets never indexed",
      "GET / HTTP/1.1|Host: c|Cookie: a|Authorization: b|X:  s|",
      `${pseudo("/", "c")}|cookie:  a|authorization:  b|x:  s`,
    ],
    [
      "an extended CONNECT",
      "GET /ws HTTP/1.1|Host: c|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Key: k|" +
        "Sec-WebSocket-Version: 13|",
      ":method: CONNECT|:protocol: websocket|:scheme: http|:path: /ws|:authority: c|" +
        "sec-websocket-version: 13",
    ],
    ["without host, of HTTP/1.0", "GET / HTTP/1.0|", ":method: GET|:scheme: http|:path: /"],
  ];
  test.each(rows)("%s", (_name, head, fields) => {
    expect(send(head)).toBe(fields);
  });

  test("what the route makes of it", () => {
    const head = "GET /a HTTP/1.1|Host: c|X: 1|Y: 2|";
    expect(send(head, { target: "/b", authority: "d" })).toBe(`${pseudo("/b", "d")}|x: 1|y: 2`);
    expect(send(head, { drop: 1 })).toBe(`${pseudo("/a", "c")}|y: 2`);
  });
});

test("a field that came as never to be indexed goes on so, however often it is scanned", () => {
  const peer = Peer.ready("server");
  peer.says(headers(1, getRequest));
  const decoder = new HpackDecoder(4096);
  expect(decodeLines(decoder, octets("\x10\x01a\x01b\x00\x01c\x01d"))).toEqual(["a:  b", "c: d"]);
});

test("a response, interim first, with prepared lines", () => {
  const peer = Peer.ready("server");
  peer.says(headers(1, getRequest));
  const stream = peer.sink.streams.get(1)!;
  const lines = octets("X-Up: 1\r\nset-cookie: s\r\nconnection: close\r\nempty:\r\n");
  const head = new MessageHead();
  for (const text of [
    "HTTP/1.1 103 Early\r\nlink: x\r\n\r\n",
    "HTTP/1.1 418 T\r\nA: 1\r\nConnection: a\r\nB: 2\r\n\r\n",
  ]) {
    const bytes = octets(text);
    scanResponseHead(bytes, 0, bytes.length, head);
    expect(writer.begin(stream)).toBe(true);
    writer.response(head);
    writer.fields(head);
    writer.add(lines);
    writer.addOnce(octets("X-Once: 1\r\nConnection: x\r\n"));
    writer.end(head.status >= 200);
  }
  expect(peer.hears()).toEqual([
    "1 headers :status: 103|link: x|x-up: 1|set-cookie:  s|empty: |x-once: 1",
    "1 headers :status: 418|b: 2|x-up: 1|set-cookie:  s|empty: |x-once: 1 end",
  ]);
  expect(writer.begin(stream)).toBe(false);
});

test("what recurs is indexed, what does not leaves the table alone", () => {
  const peer = Peer.ready("client");
  const sizes: number[] = [];
  const zeros = "0".repeat(30);
  for (let i = 0; i < 6; i++) {
    const head = requestHead(
      `GET /a HTTP/1.1|Host: c.default|Accept: */*|User-Agent: x|X-Request-Id: ${i}${zeros}|`,
    );
    const stream = peer.session.open("x")!;
    writer.begin(stream);
    writer.request(head, undefined, undefined);
    writer.fields(head);
    writer.end(true);
    sizes.push(peer.take().length);
  }
  // Method, scheme and four indexes; the identifier is a literal.
  expect(sizes.slice(2)).toEqual([...Array(4)].map(() => 9 + 6 + 1 + 13 + 32));
});

test("the peer's table size is announced, the smallest on the way first", () => {
  const peer = Peer.ready("client");
  const send = (): string => {
    const stream = peer.session.open("x")!;
    writer.begin(stream);
    writer.status(200);
    writer.end(true);
    return Buffer.from(peer.take().subarray(9)).toString("hex");
  };
  peer.says(settings([1, 100]), settings([1, 10_000]), settings([1, 2000]));
  peer.take();
  expect(send()).toBe(`${"3f45"}${"3fb10f"}88`);
  peer.says(settings([1, 0]));
  peer.take();
  expect(send()).toBe("2088");
});

test("random lines are read back as they were, whatever the tables do", () => {
  const random = seededRandom(7);
  const pick = (count: number): number => Math.floor(random() * count);
  const pool = new BufferPool();
  const out = new OutputBuffer(pool);
  const encoder = new HpackEncoder(out);
  const decoder = new HpackDecoder(4096);
  const values = Array.from({ length: 60 }, (_, i) => "v".repeat(pick(300)) + i);
  for (let round = 0; round < 2000; round++) {
    if (pick(40) === 0) encoder.resize(pick(5000));
    encoder.begin();
    const wanted: string[] = [];
    for (let i = pick(8); i >= 0; i--) {
      const name = pick(3) === 0 ? "x".repeat(1 + pick(40)) : `name-${pick(9)}`;
      const value = values[Math.min(pick(60), pick(60))]!;
      encoder.bytes = octets(`${name.toUpperCase()}: ${value}\r\n`);
      encoder.kind = 0;
      encoder.nameStart = 0;
      encoder.nameEnd = name.length;
      encoder.valueStart = name.length + 2;
      encoder.valueEnd = name.length + 2 + value.length;
      encoder.put();
      wanted.push(`${name}: ${value}`);
    }
    const block = out.bytes.slice(out.start, out.end);
    out.taken(out.length);
    expect(decodeLines(decoder, block)).toEqual(wanted);
  }
});

test("lines in a buffer that is written anew are sent as they are now", () => {
  const lines = new Uint8Array(64);
  const sent = ["x-a: 1", "x-a: 2", "X-B:  long value\r\nx-c:3"].map((text) => {
    const written = octets(`${text}\r\n`);
    lines.fill(0x21).set(written);
    const peer = Peer.ready("client");
    expect(writer.begin(peer.session.open("x")!)).toBe(true);
    writer.request(requestHead("GET / HTTP/1.1|Host: c|"), undefined, undefined);
    writer.addOnce(lines, written.length);
    writer.end(true);
    return peer.hears()[0]!.replace(/^1 headers .*?:authority: c\|| end$/g, "");
  });
  expect(sent).toEqual(["x-a: 1", "x-a: 2", "x-b: long value|x-c: 3"]);
});
