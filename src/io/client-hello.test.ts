/** What is read of a ClientHello, what is refused, and that no cut of its bytes is noticed. */
import { expect, test } from "bun:test";
import { seededRandom } from "../core/random.ts";
import { cuts, describeCuts } from "../testing/cuts.ts";
import { expectLinear } from "../testing/growth.ts";
import { type ClientHello, ClientHelloReader, type HelloProgress } from "./client-hello.ts";

const bytes = (...parts: (number | readonly number[] | Uint8Array | string)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "number"
        ? [part]
        : typeof part === "string"
          ? [...Buffer.from(part)]
          : [...part],
    ),
  );
const u16 = (n: number): number[] => [n >> 8, n & 0xff];
const vector8 = (content: Uint8Array): Uint8Array => bytes(content.length, content);
const vector16 = (content: Uint8Array): Uint8Array => bytes(u16(content.length), content);
const extension = (type: number, content: Uint8Array): Uint8Array =>
  bytes(u16(type), vector16(content));
const sni = (name: string | Uint8Array, type = 0): Uint8Array =>
  extension(0, vector16(bytes(type, vector16(bytes(name)))));
const alpn = (...names: string[]): Uint8Array =>
  extension(16, vector16(bytes(...names.map((name) => vector8(bytes(name))))));
const versions = (...list: number[]): Uint8Array => extension(43, vector8(bytes(...list.map(u16))));

interface Parts {
  readonly legacy?: number;
  readonly session?: Uint8Array;
  readonly ciphers?: Uint8Array;
  readonly compression?: Uint8Array;
  readonly extensions?: readonly Uint8Array[] | undefined;
  readonly after?: Uint8Array;
}

/** The message, header included. */
function helloMessage(parts: Parts = {}): Uint8Array {
  const { extensions = [] } = parts;
  const body = bytes(
    u16(parts.legacy ?? 0x0303),
    new Uint8Array(32).fill(7),
    vector8(parts.session ?? new Uint8Array(32)),
    vector16(parts.ciphers ?? bytes(0x13, 0x01)),
    vector8(parts.compression ?? bytes(0)),
    "extensions" in parts && parts.extensions === undefined ? [] : vector16(bytes(...extensions)),
    parts.after ?? [],
  );
  return bytes(1, 0, u16(body.length), body);
}

const record = (content: Uint8Array, type = 22, minor = 1): Uint8Array =>
  bytes(type, 3, minor, vector16(content));

/** In records of `size` bytes of content. */
const inRecords = (message: Uint8Array, size: number): Uint8Array =>
  bytes(
    ...Array.from({ length: Math.ceil(message.length / size) }, (_, i) =>
      record(message.subarray(i * size, (i + 1) * size)),
    ),
  );

interface Verdict {
  readonly progress: HelloProgress;
  readonly hello: ClientHello | undefined;
}

function read(chunks: readonly Uint8Array[]): Verdict {
  const reader = new ClientHelloReader();
  for (const chunk of chunks) if (reader.push(chunk) !== "reading") break;
  return { progress: reader.progress, hello: reader.hello };
}

const ordinary = helloMessage({
  extensions: [sni("Reviews.Default.example"), alpn("h2", "http/1.1"), versions(0x0304, 0x0303)],
});
const ordinaryFacts: ClientHello = {
  serverName: "reviews.default.example",
  protocols: ["h2", "http/1.1"],
  version: 0x0304,
};

const complete: readonly (readonly [what: string, wire: Uint8Array, facts: ClientHello])[] = [
  ["an ordinary hello", record(ordinary), ordinaryFacts],
  ["in records of 100 bytes", inRecords(ordinary, 100), ordinaryFacts],
  ["in records of one byte", inRecords(ordinary, 1), ordinaryFacts],
  ["in records that cut the message header", inRecords(ordinary, 3), ordinaryFacts],
  [
    "no extensions at all: TLS 1.2 of old",
    record(helloMessage({ extensions: undefined })),
    { serverName: "", protocols: [], version: 0x0303 },
  ],
  [
    "TLS 1.0, with a record version of its own",
    record(helloMessage({ legacy: 0x0301 }), 22, 0),
    { serverName: "", protocols: [], version: 0x0301 },
  ],
  [
    "GREASE among versions, protocols and extensions is passed over",
    record(
      helloMessage({
        extensions: [
          extension(0x2a2a, bytes()),
          versions(0x3a3a, 0x0303, 0x7f1c),
          alpn("\x0a\x0a", "http/1.1"),
          extension(0x1a1a, bytes(0)),
        ],
      }),
    ),
    { serverName: "", protocols: ["http/1.1"], version: 0x0303 },
  ],
  [
    "a name of the longest label, with an underscore",
    record(helloMessage({ extensions: [sni(`_x-1.${"a".repeat(63)}`)] })),
    { serverName: `_x-1.${"a".repeat(63)}`, protocols: [], version: 0x0303 },
  ],
  [
    "a post-quantum key share of 1,200 bytes",
    record(helloMessage({ extensions: [extension(51, new Uint8Array(1_200)), sni("a.b")] })),
    { serverName: "a.b", protocols: [], version: 0x0303 },
  ],
];

test.each(complete)("complete, however it is cut: %s", (_what, wire, facts) => {
  for (const chunks of cuts(wire, 1)) {
    const verdict = read(chunks);
    if (verdict.progress !== "complete" || !Bun.deepEquals(verdict.hello, facts))
      expect({ cut: describeCuts(chunks), ...verdict }).toEqual({
        progress: "complete",
        hello: facts,
      } as never);
  }
});

const malformed: readonly (readonly [what: string, wire: Uint8Array])[] = [
  ["legacy version 2", record(helloMessage({ legacy: 0x0200 }))],
  ["a session id of 33 bytes", record(helloMessage({ session: new Uint8Array(33) }))],
  ["no cipher suites", record(helloMessage({ ciphers: bytes() }))],
  ["half a cipher suite", record(helloMessage({ ciphers: bytes(0x13, 1, 0x13) }))],
  ["no compression method", record(helloMessage({ compression: bytes() }))],
  ["bytes after the extensions", record(helloMessage({ after: bytes(0) }))],
  [
    "an extension longer than the list",
    record(helloMessage({ extensions: [bytes(0, 9, 0, 5, 1)] })),
  ],
  ["half an extension header", record(helloMessage({ extensions: [bytes(0, 9, 0)] }))],
  ["an extension twice", record(helloMessage({ extensions: [sni("a.b"), sni("a.b")] }))],
  ["an empty server name list", record(helloMessage({ extensions: [extension(0, bytes(0, 0))] }))],
  ["an empty server name", record(helloMessage({ extensions: [sni("")] }))],
  ["a server name of another type", record(helloMessage({ extensions: [sni("a.b", 1)] }))],
  [
    "two server names",
    record(
      helloMessage({
        extensions: [
          extension(0, vector16(bytes(0, vector16(bytes("a")), 0, vector16(bytes("b"))))),
        ],
      }),
    ),
  ],
  [
    "bytes after the server name list",
    record(helloMessage({ extensions: [bytes(0, 0, 0, 7, 0, 4, 0, 0, 1, 97, 0)] })),
  ],
  ...[
    "a\nb",
    "a\0b",
    "a b",
    "ä.b",
    "a..b",
    ".a",
    "a.",
    "a/b",
    "a:80",
    "[::1]",
    "*.a.b",
    "a".repeat(64),
    `${"a.".repeat(127)}a`,
  ].map(
    (name) =>
      [
        `the server name ${JSON.stringify(name.slice(0, 20))}`,
        record(helloMessage({ extensions: [sni(name)] })),
      ] as const,
  ),
  ["an empty protocol list", record(helloMessage({ extensions: [extension(16, bytes(0, 0))] }))],
  ["an empty protocol", record(helloMessage({ extensions: [alpn("", "h2")] }))],
  [
    "a protocol longer than its list",
    record(helloMessage({ extensions: [extension(16, bytes(0, 2, 9, 97))] })),
  ],
  [
    "bytes after the protocol list",
    record(helloMessage({ extensions: [extension(16, bytes(0, 2, 1, 97, 0))] })),
  ],
  ["half a version", record(helloMessage({ extensions: [extension(43, bytes(3, 3, 4, 3))] }))],
  ["no versions", record(helloMessage({ extensions: [extension(43, bytes(0))] }))],
  [
    "bytes after the versions",
    record(helloMessage({ extensions: [extension(43, bytes(2, 3, 4, 3))] })),
  ],
  ["a message shorter than its record", record(bytes(ordinary, 0))],
  [
    "a second message that begins in the last record",
    bytes(inRecords(ordinary.subarray(0, 50), 50), record(bytes(ordinary.subarray(50), 1))),
  ],
  ["an empty record", bytes(inRecords(ordinary.subarray(0, 50), 50), record(bytes()))],
  [
    "an alert between two records",
    bytes(inRecords(ordinary.subarray(0, 50), 50), record(bytes(1, 0), 21)),
  ],
  [
    "a second record of another major version",
    bytes(inRecords(ordinary.subarray(0, 50), 50), 22, 2, 1, 0, 1, 0),
  ],
  [
    "a second record that is too long",
    bytes(inRecords(ordinary.subarray(0, 50), 50), 22, 3, 1, 0x40, 1),
  ],
  ["a body cut short by its own length", record(bytes(1, 0, u16(40), new Uint8Array(40).fill(3)))],
];

test.each(malformed)("malformed, however it is cut: %s", (_what, wire) => {
  for (const chunks of cuts(wire, 2)) {
    const verdict = read(chunks);
    if (verdict.progress !== "malformed" || verdict.hello !== undefined)
      expect({ cut: describeCuts(chunks), ...verdict }).toEqual({
        progress: "malformed",
        hello: undefined,
      } as never);
  }
});

const notTls: readonly (readonly [what: string, wire: Uint8Array])[] = [
  ["HTTP/1.1", bytes("GET / HTTP/1.1\r\n\r\n")],
  ["the preface of HTTP/2", bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
  ["a hello of SSL 2", bytes(0x80, 0x2e, 1, 3, 1)],
  ["an alert", record(bytes(2, 40), 21)],
  ["another handshake message", record(bytes(2, 0, 0, 0))],
  ["a version that never was", bytes(22, 3, 5, 0, 5, 1)],
  ["a major version that never was", bytes(22, 2, 1, 0, 5, 1)],
  ["a record of 16,640 bytes", bytes(22, 3, 1, 0x41, 0, 1)],
];

test.each(notTls)("not TLS, told by at most six bytes: %s", (_what, wire) => {
  for (const chunks of cuts(wire, 3)) expect(read(chunks).progress).toBe("not-tls");
  expect(read([wire.subarray(0, 6)]).progress).toBe("not-tls");
});

test("a prefix is being read, whatever its length", () => {
  const wire = inRecords(ordinary, 30);
  for (let length = 0; length < wire.length; length++)
    expect(read([wire.subarray(0, length)]).progress).toBe("reading");
});

test("the bytes are kept as they came, with what follows the hello", () => {
  const wire = bytes(inRecords(ordinary, 30), "early data");
  for (const chunks of cuts(wire, 4)) {
    const reader = new ClientHelloReader();
    let pushed = 0;
    for (const chunk of chunks) {
      pushed += chunk.length;
      if (reader.push(chunk) === "complete") break;
    }
    expect(Buffer.from(reader.bytes).equals(wire.subarray(0, pushed))).toBe(true);
  }
});

test("a hello has limits: 16 KiB of message, 32 KiB in all", () => {
  const large = (size: number) =>
    helloMessage({ extensions: [extension(21, new Uint8Array(size))] });
  const overhead = large(0).length;
  expect(read([inRecords(large(16_384 - overhead), 16_000)]).progress).toBe("complete");
  expect(read([record(large(16_384 - overhead))]).progress).toBe("complete");
  expect(read([inRecords(large(16_385 - overhead), 16_000)]).progress).toBe("too-long");
  // Its length is refused as soon as it is known.
  expect(read([inRecords(large(16_385 - overhead), 16_000).subarray(0, 16_005)]).progress).toBe(
    "too-long",
  );
  expect(read([record(bytes(1, 0)), record(bytes(255, 255))]).progress).toBe("too-long");
  const dribble = inRecords(large(16_384 - overhead), 1);
  expect(read(Array.from(dribble, (_, i) => dribble.subarray(i, i + 1))).progress).toBe("too-long");
});

test("any one octet changed is never taken for something else than bytes allow", () => {
  const wire = record(ordinary);
  const random = seededRandom(20_260_101);
  for (let round = 0; round < 20_000; round++) {
    const changed = wire.slice();
    for (let n = 0; n <= round % 4; n++)
      changed[Math.floor(random() * wire.length)] = Math.floor(random() * 256);
    const { progress, hello } = read([changed]);
    if (progress !== "complete") continue;
    expect(hello!.serverName).toMatch(/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$|^$/);
    for (const name of hello!.protocols) expect(name).toMatch(/^[\x21-\x7e]+$/);
    expect(hello!.version).toBeLessThanOrEqual(0x0304 | 0xff);
  }
});

test("random bytes that begin like TLS end in a verdict, or are waited for", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 2_000; round++) {
    const wire = Uint8Array.from({ length: 200 }, () => Math.floor(random() * 256));
    wire.set([22, 3, 1, 0, 100, 1, 0, 0, 96, 3, 3]);
    expect(["complete", "malformed", "too-long", "reading"]).toContain(read([wire]).progress);
  }
});

test("the work grows with the bytes and no faster, however small they come", () => {
  const pieces = new Map(
    [2_000, 8_000].map((n) => {
      const message = helloMessage({ extensions: [extension(21, new Uint8Array(n))] });
      const wire = inRecords(message, 5);
      return [n, Array.from(wire, (_, i) => wire.subarray(i, i + 1))];
    }),
  );
  expectLinear((n) => {
    const reader = new ClientHelloReader();
    for (const piece of pieces.get(n)!) reader.push(piece);
  }, 2_000);
});
