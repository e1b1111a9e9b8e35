/**
 * Connections whose heads repeat: what is remembered of one head changes nothing about the next,
 * on either side, whatever comes between them and however the sender encodes.
 */
import { describe, expect, test } from "bun:test";
import { type Random, seededRandom } from "../core/random.ts";
import { fieldIdOf } from "../http/field-id.ts";
import { defaultHeadLimits, MessageHead } from "../http/message-head.ts";
import { PathNormalizer, type PathRules, PathVerdict } from "../http/path-normalization.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import { headDifference } from "../testing/head-equivalence.ts";
import { octets } from "../testing/http1-stream.ts";
import { literals, Peer } from "../testing/http2-peer.ts";
import { BufferPool } from "./buffer-pool.ts";
import { ConnectionFault, Malformed, Unserved } from "./fault.ts";
import { FieldBlock } from "./field-block.ts";
import { HeadArena } from "./head-arena.ts";
import { HeadBlockWriter } from "./head-block-writer.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { KnownLine } from "./known-line.ts";
import { OutputBuffer } from "./output-buffer.ts";
import { RequestSection } from "./request-section.ts";

type Field = readonly [name: string, value: string];
const methods = ["GET", "POST", "PUT"];
/** The last is changed in its place when it is normalised. */
const paths = ["/", "/a?b=1", "/answer", "/a/../b"];
const rules: PathRules = {
  normalizes: true,
  mergesSlashes: false,
  escapedSlashes: "KEEP_UNCHANGED",
};
const normalizer = new PathNormalizer(8_192);
const pool: readonly Field[] = [
  ["accept", "*/*"],
  ["user-agent", "one/1.0"],
  ["user-agent", "two/2.0"],
  ["te", "trailers"],
  ["content-length", "0"],
  ["x-a", "1"],
  ["x-a", "2"],
  ["x-long", "v".repeat(70)],
  ["authorization", "Basic abc"],
  ["cookie", "a=1"],
  ["cookie", "b=2"],
  ["x-last", ""],
];

/** Encodes as some peer might: each field in any of the ways that RFC 7541 has. */
class Sender {
  readonly #out = new OutputBuffer(new BufferPool());
  readonly #encoder = new HpackEncoder(this.#out);
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  block(fields: readonly Field[]): Uint8Array {
    const encoder = this.#encoder;
    if (this.#random() < 0.05) encoder.resize(this.#random() < 0.5 ? 100 : 4096);
    encoder.begin();
    for (const [name, value] of fields) {
      const line = octets(`${name}: ${value}\r\n`);
      encoder.bytes = line;
      encoder.kind = name.startsWith(":") ? 0 : fieldIdOf(line, 0, name.length);
      encoder.nameStart = 0;
      encoder.nameEnd = name.length;
      encoder.valueStart = name.length + 2;
      encoder.valueEnd = line.length - 2;
      if (this.#random() < 0.1) encoder.literal(this.#random() < 0.5 ? 0 : 0x10, 15);
      else encoder.put();
    }
    const block = this.#out.bytes.slice(this.#out.start, this.#out.end);
    this.#out.taken(this.#out.length);
    return block;
  }
}

interface Asked {
  readonly fields: readonly Field[];
  readonly text: string;
}

/** Mostly like the one before. */
function ask(random: Random, before: Asked | undefined): Asked {
  if (before !== undefined && random() < 0.6) return before;
  const any = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const [method, path] = [any(methods), any(paths)];
  const count = Math.floor(random() * 8);
  const regular =
    before !== undefined && random() < 0.5
      ? before.fields.slice(4)
      : Array.from({ length: count }, () => any(pool)).filter(
          ([name], i, all) => all.findIndex(([one]) => one === name) === i,
        );
  const more: Field[] = random() < 0.3 ? [["x-id", String(Math.floor(random() * 1e6))]] : [];
  const fields: Field[] = [
    [":method", method],
    [":scheme", "http"],
    [":path", path],
    [":authority", "svc:80"],
    ...regular.filter(([name]) => name !== "x-id"),
    ...more,
  ];
  const lines = fields.slice(4).map(([name, value]) => `${name}: ${value}\r\n`);
  return { fields, text: `${method} ${path} HTTP/1.1\r\nhost: svc:80\r\n${lines.join("")}\r\n` };
}

/** As HTTP/1.1 lines; the blank that marks a field that is never indexed is not part of it. */
const textOf = (head: MessageHead): string =>
  head.text(head.start, head.end).replaceAll(":  ", ": ");

describe.each([1, 2, 3, 4, 5, 6, 7, 8])("heads that repeat, seed %d", (seed) => {
  const random = seededRandom(seed);
  const sender = new Sender(random);
  const known = new KnownLine();
  const block = new FieldBlock(new MessageHead(), new HeadArena(), 60 * 1024, known);
  const section = new RequestSection(block, true, known);
  const writer = new HeadBlockWriter();
  const client = Peer.ready("client");
  // What is written on is read by a connection that remembers nothing.
  const far = new FieldBlock(new MessageHead(), new HeadArena(), 60 * 1024);

  test("arrive as they were sent, and are as the HTTP/1.1 scanner sees them", () => {
    let asked: Asked | undefined;
    for (let i = 0; i < 600; i++) {
      asked = ask(random, asked);
      const bytes = sender.block(asked.fields);
      expect(section.decode(bytes, 0, bytes.length, true)).toBeUndefined();
      const { head } = block;
      expect(textOf(head)).toBe(asked.text);
      expect(headDifference(head)).toBeUndefined();
      if (random() < 0.2 && head.fieldCount > 2) head.dropped[1 + Math.floor(random() * 2)] = 1;
      const dropped = head.dropped.slice(0, head.fieldCount);
      const wanted = asked.fields.slice(4).filter((_, at) => dropped[at + 1] === 0);
      const [method, , [, path]] = asked.fields as [Field, Field, Field];
      const normalizes = random() < 0.5;
      if (normalizes && normalizer.normalize(head, rules) === PathVerdict.changed)
        expect(head.lineId).toBe(0);
      const target = random() < 0.1 ? "/other" : undefined;
      const authority = random() < 0.1 ? "other:1" : undefined;
      if (random() < 0.1) head.acceptsTrailers = !head.acceptsTrailers;
      const te: Field[] = head.acceptsTrailers ? [["te", "trailers"]] : [];
      const line: Field[] = [
        method,
        [":scheme", "http"],
        [":path", target ?? (normalizes ? path.replace("/a/../b", "/b") : path)],
        [":authority", authority ?? "svc:80"],
      ];
      expect(written(head, target, authority).sort()).toEqual(
        [...line, ...wanted, ...te].map(([name, value]) => `${name}: ${value}`).sort(),
      );
    }
  });

  function written(head: MessageHead, target?: string, authority?: string): string[] {
    const { out } = client.session;
    out.taken(out.length);
    const stream = client.session.open("test")!;
    writer.begin(stream);
    const bytesOf = (one?: string): Uint8Array | undefined =>
      one === undefined ? undefined : octets(one);
    writer.request(head, bytesOf(target), bytesOf(authority));
    writer.fields(head);
    writer.end(true);
    const bytes = out.bytes.slice(out.start + 9, out.end);
    stream.release();
    return readLines(bytes);
  }

  function readLines(bytes: Uint8Array): string[] {
    const lines: string[] = [];
    far.begin(bytes, 0, bytes.length);
    while (far.nextIn() === 0) {
      const { hpack } = far;
      const text = Buffer.from(hpack.out.subarray(hpack.at, hpack.valueEnd)).toString("latin1");
      lines.push(text.replace(":  ", ": "));
    }
    return lines;
  }
});

describe("a head that begins like the one before", () => {
  const line = [":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/"] as const;
  const fieldsOf = (...flat: readonly string[]): Field[] =>
    Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!] as const);
  const hex = (text: string): Uint8Array =>
    new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
  const http = fieldsOf(...line);
  /** GET http / with the authority "a", one octet each but for the authority. */
  const plain = "82 86 84 01 01 61";

  function reader(listBytesMax = 60 * 1024, fieldsMax = 100, arena = new HeadArena()) {
    const known = new KnownLine();
    const head = new MessageHead({ ...defaultHeadLimits, fieldsMax });
    const block = new FieldBlock(head, arena, listBytesMax, known);
    const section = new RequestSection(block, true, known);
    const read = (bytes: Uint8Array): string => {
      const fault = section.decode(bytes, 0, bytes.length, true);
      return fault === undefined ? textOf(head).replaceAll("\r\n", "|") : fault.detail;
    };
    return { read, head, block };
  }

  test("has entries that are still there: an evicted one breaks the connection", () => {
    const { read } = reader();
    read(hex(`${plain} 40 01 78 01 31`));
    const again = hex(`${plain} be`);
    for (let i = 0; i < 4; i++) expect(read(again)).toBe("GET / HTTP/1.1|host: a|x: 1||");
    read(hex(`20 3f e1 1f ${plain}`));
    for (let i = 0; i < 4; i++) read(hex(plain));
    expect(read(again)).toBe(ConnectionFault.compression.detail);
  });

  test("may go on with a pseudo-field too many", () => {
    const { read } = reader();
    for (let i = 0; i < 4; i++) read(hex(plain));
    expect(read(hex(`${plain} 84`))).toBe(Malformed.pseudoTwice.detail);
  });

  test("has names that the table still means", () => {
    const { read } = reader();
    read(hex(`${plain} 40 01 78 01 31`));
    // x by its entry, as a literal that is not indexed.
    const again = hex(`${plain} 0f 2f 01 32`);
    for (let i = 0; i < 4; i++) expect(read(again)).toBe("GET / HTTP/1.1|host: a|x: 2||");
    read(hex(`${plain} 0f 2f 01 32 40 01 79 01 31`));
    expect(read(again)).toBe("GET / HTTP/1.1|host: a|y: 2||");
  });

  test("counts against the limit of a list as if it were new", () => {
    const long = "v".repeat(100);
    const withPath = (path: string): Uint8Array =>
      literals([...http.slice(0, 3), [":path", path], ["x", long]]);
    const { read } = reader(380);
    for (let i = 0; i < 4; i++) expect(read(withPath("/"))).toContain(long);
    expect(read(withPath(`/${"p".repeat(90)}`))).toBe(Unserved.tooLarge.detail);
    const other = reader(380);
    for (let i = 0; i < 4; i++) other.read(withPath("/"));
    const more = literals([...http, ["x", long], ["y", "w".repeat(90)]]);
    expect(other.read(more)).toBe(Unserved.tooLarge.detail);
  });

  test("counts its fields as if they were new", () => {
    const { read } = reader(60 * 1024, 3);
    const two = fieldsOf("x", "1", "y", "2");
    for (let i = 0; i < 4; i++) expect(read(literals([...http, ...two]))).toContain("y: 2");
    const connect = fieldsOf(":method", "CONNECT", ":protocol", "websocket");
    const websocket = literals([...connect, ...http.slice(1), ...two]);
    expect(read(websocket)).toBe(Unserved.tooManyFields.detail);
  });

  /** Writes heads to one peer, and says what their blocks are. */
  function writing(): (head: MessageHead) => string {
    const writer = new HeadBlockWriter();
    const client = Peer.ready("client");
    return (head) => {
      const { out } = client.session;
      out.taken(out.length);
      const stream = client.session.open("test")!;
      writer.begin(stream);
      writer.request(head, undefined, undefined);
      writer.fields(head);
      writer.end(true);
      const block = Buffer.from(out.bytes.subarray(out.start + 9, out.end)).toString("latin1");
      stream.release();
      return block;
    };
  }
  const withPath = (path: string, ...fields: readonly Field[]): Uint8Array =>
    literals([...http.slice(0, 3), [":path", path], ...fields]);

  test("says nothing of another head in the same memory", () => {
    const { read, head } = reader();
    const write = writing();
    for (let i = 0; i < 4; i++) read(withPath("/one", ["x", "1"], ["y", "2"]));
    const { bytes, start, end } = head;
    for (let i = 0; i < 4; i++) read(withPath("/two", ["z", "3"], ["x", "4"]));
    for (let i = 0; i < 4; i++) write(head);
    scanRequestHead(bytes, start, end, head);
    const written = write(head);
    expect(written).toContain("/one");
    expect(written).toContain("y\x012");
  });

  test("is written with an octet for each of its fields, once the peer knows them", () => {
    const { read, head } = reader();
    const write = writing();
    for (let i = 0; i < 4; i++) read(withPath("/answer", ["x", "1"]));
    const lengths = Array.from({ length: 4 }, () => write(head).length);
    expect(lengths.at(-1)).toBe(5);
  });

  test("is told from those of other connections, however many there are", () => {
    const write = writing();
    const arena = new HeadArena();
    const heads = Array.from({ length: 20 }, (_, i) => {
      const { read, head } = reader(60 * 1024, 100, arena);
      for (let times = 0; times < 4; times++) read(withPath(`/${i}`));
      return head;
    });
    const rounds = Array.from({ length: 4 }, () => heads.map(write));
    expect(new Set(rounds.at(-1)).size).toBe(heads.length);
  });
});
