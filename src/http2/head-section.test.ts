/**
 * Heads from field blocks: every one that is accepted is what the HTTP/1.1 scanner would make of
 * its octets; every one that is not is refused for the reason that an operator reads.
 */
import { describe, expect, test } from "bun:test";
import { MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { headDifference } from "../testing/head-equivalence.ts";
import { literals } from "../testing/http2-peer.ts";
import { FieldBlock } from "./field-block.ts";
import { HeadArena } from "./head-arena.ts";
import { KnownLine } from "./known-line.ts";
import { RequestSection } from "./request-section.ts";
import { ResponseSection } from "./response-section.ts";

type Fields = readonly (readonly [name: string, value: string])[];
const listBytesMax = 60 * 1024;

function textOf(head: MessageHead): string {
  expect(headDifference(head)).toBeUndefined();
  return head.text(head.start, head.end - 2).replaceAll("\r\n", "|");
}

function readRequest(fields: Fields, ended = true): string {
  const known = new KnownLine();
  const block = new FieldBlock(new MessageHead(), new HeadArena(), listBytesMax, known);
  const section = new RequestSection(block, true, known);
  const bytes = literals(fields);
  const read = (): string => {
    const fault = section.decode(bytes, 0, bytes.length, ended);
    if (fault !== undefined) return `${fault.scope} ${fault.failure.name}: ${fault.detail}`;
    return textOf(block.head);
  };
  const first = read();
  // What a connection remembers of one head makes no difference to the next.
  for (let i = 0; i < 3; i++) expect(read()).toBe(first);
  return first;
}

function readResponse(fields: Fields, method: MethodId, websocket = false): string {
  const block = new FieldBlock(new MessageHead(), new HeadArena(), listBytesMax);
  block.head.requestMethod = method;
  block.head.upgradeWasSent = websocket;
  const bytes = literals(fields);
  const section = new ResponseSection(block);
  const read = (): string => {
    const fault = section.decode(bytes, 0, bytes.length, false);
    if (fault !== undefined) return `${fault.scope} ${fault.upstream.name}: ${fault.detail}`;
    return `${textOf(block.head)} framing ${block.head.framing}`;
  };
  const first = read();
  for (let i = 0; i < 3; i++) expect(read()).toBe(first);
  return first;
}

const get: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/p?q"],
  [":authority", "a:80"],
];
const without = (name: string): Fields => get.filter(([one]) => one !== name);
const withPath = (path: string, method = "GET"): Fields => [
  [":method", method],
  [":path", path],
  [":scheme", "https"],
  [":authority", "[::1]:8"],
];
const connect: Fields = [
  [":method", "CONNECT"],
  [":authority", "a:443"],
];
const websocket: Fields = [[":method", "CONNECT"], [":protocol", "websocket"], ...get.slice(1)];

describe("a request is accepted", () => {
  const rows: readonly (readonly [name: string, fields: Fields, head: string])[] = [
    ["plain", get, "GET /p?q HTTP/1.1|host: a:80|"],
    ["of any method", withPath("/", "BREW"), "BREW / HTTP/1.1|host: [::1]:8|"],
    ["for the server itself", withPath("*", "OPTIONS"), "OPTIONS * HTTP/1.1|host: [::1]:8|"],
    [
      "with Host alone",
      [...without(":authority"), ["x", "1"], ["host", "b"]],
      "GET /p?q HTTP/1.1|x: 1|host: b|",
    ],
    ["with the same Host again", [...get, ["host", "A"]], "GET /p?q HTTP/1.1|host: a:80|"],
    [
      "with trailers allowed",
      [...get, ["te", "trailers"]],
      "GET /p?q HTTP/1.1|host: a:80|te: trailers|",
    ],
    ["with obs-text", [...get, ["x", "\xe9\t1"]], "GET /p?q HTTP/1.1|host: a:80|x: \xe9\t1|"],
    [
      "with fields that come twice",
      [...get, ["x-forwarded-for", "1"], ["via", "a"], ["x-forwarded-for", "2"], ["via", "b"]],
      "GET /p?q HTTP/1.1|host: a:80|x-forwarded-for: 1|via: a|x-forwarded-for: 2|via: b|",
    ],
    ["with an empty value", [...get, ["x", ""]], "GET /p?q HTTP/1.1|host: a:80|x: |"],
    ["to a proxy", connect, "CONNECT a:443 HTTP/1.1|host: a:443|"],
    [
      "for a websocket",
      [...websocket, ["sec-websocket-version", "13"]],
      "GET /p?q HTTP/1.1|host: a:80|connection: upgrade|upgrade: websocket|" +
        "sec-websocket-version: 13|",
    ],
    [
      "expecting 100",
      [...get, ["expect", "100-continue"]],
      "GET /p?q HTTP/1.1|host: a:80|expect: 100-continue|",
    ],
    [
      "with adjacent crumbs of cookies",
      [...get, ["cookie", "a=b"], ["cookie", "c=d"], ["cookie", ""], ["x", "1"]],
      "GET /p?q HTTP/1.1|host: a:80|cookie: a=b; c=d|x: 1|",
    ],
    [
      "with crumbs of cookies apart",
      [
        ...get,
        ["x", "1"],
        ["cookie", "a=b"],
        ["y", "2"],
        ["cookie", "c=d"],
        ["z", "3"],
        ["cookie", "e=f"],
      ],
      "GET /p?q HTTP/1.1|host: a:80|x: 1|y: 2|z: 3|cookie: a=b; c=d; e=f|",
    ],
    [
      "with content-length 0",
      [...get, ["content-length", "0"]],
      "GET /p?q HTTP/1.1|host: a:80|content-length: 0|",
    ],
    [
      "with fields of one hop that are none here",
      [...get, ["http2-settings", "x"]],
      "GET /p?q HTTP/1.1|host: a:80|http2-settings: x|",
    ],
  ];
  test.each(rows)("%s", (_name, fields, head) => {
    expect(readRequest(fields)).toBe(head);
  });
});

describe("a request is refused", () => {
  const malformed = (detail: string): string => `stream http2Malformed: ${detail}`;
  const rows: readonly (readonly [name: string, fields: Fields, why: string])[] = [
    ["no method", without(":method"), malformed("pseudo-field missing")],
    ["no scheme", without(":scheme"), malformed("pseudo-field missing")],
    ["no path", without(":path"), malformed("pseudo-field missing")],
    ["no authority", without(":authority"), malformed("pseudo-field missing")],
    ["nothing", [], malformed("pseudo-field missing")],
    ["twice", [...get, [":path", "/"]], malformed("pseudo-field more than once")],
    ["status", [...get, [":status", "200"]], malformed("pseudo-field that may not be there")],
    ["unknown", [...get, [":foo", "1"]], malformed("pseudo-field that may not be there")],
    ["late", [["x", "1"], ...get], malformed("pseudo-field missing")],
    ["after", [...get, ["x", "1"], [":path", "/"]], malformed("pseudo-field after a field")],
    ["capital", [...get, ["X", "1"]], malformed("octet not allowed in a field name")],
    ["empty name", [...get, ["", "1"]], malformed("octet not allowed in a field name")],
    ["colon", [...get, ["a:b", "1"]], malformed("octet not allowed in a field name")],
    ["CR", [...get, ["a", "1\r2"]], malformed("octet not allowed in a field value")],
    ["blank first", [...get, ["a", " 1"]], malformed("octet not allowed in a field value")],
    ["blank last", [...get, ["a", "1\t"]], malformed("octet not allowed in a field value")],
    ["DEL", [...get, ["a", "\x7f"]], malformed("octet not allowed in a field value")],
    ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map(
      (name) =>
        [name, [...get, [name, "x"]] as Fields, malformed("field of a connection")] as const,
    ),
    ["TE", [...get, ["te", "gzip"]], malformed("TE other than trailers")],
    ["method", withPath("/", "G T"), malformed(":method is not a token")],
    ["empty method", withPath("/", ""), malformed(":method is not a token")],
    ...["", "x", "*", "/a b", "/#", "/\xe9", "/?#", "/\r\n", "http://a/"].map(
      (path) => [`path ${JSON.stringify(path)}`, withPath(path), malformed(":path")] as const,
    ),
    ["scheme", [...without(":scheme"), [":scheme", "ht tp"]], malformed(":scheme")],
    [
      "ftp",
      [...without(":scheme"), [":scheme", "ftp"]],
      "reply badTarget: scheme other than http and https",
    ],
    ...["", "u@a", "a b", "a:99999", "a/", ":80"].map(
      (authority) =>
        [
          `authority ${authority}`,
          [...without(":authority"), [":authority", authority]] as Fields,
          malformed("authority is not a host and port"),
        ] as const,
    ),
    [
      "Host empty",
      [...without(":authority"), ["host", ""]],
      malformed("authority is not a host and port"),
    ],
    ["Host differs", [...get, ["host", "b"]], malformed("Host and :authority differ")],
    ["two Hosts", [...get, ["host", "a"], ["host", "a"]], malformed("more than one Host")],
    [
      "two Hosts alone",
      [...without(":authority"), ["host", "a"], ["host", "a"]],
      malformed("more than one Host"),
    ],
    [
      "CONNECT with a path",
      [...connect, [":path", "/"]],
      malformed("CONNECT needs host and port alone"),
    ],
    [
      "CONNECT to no port",
      [connect[0]!, [":authority", "a"]],
      malformed("CONNECT needs host and port alone"),
    ],
    ["CONNECT to nobody", [connect[0]!], malformed("CONNECT needs host and port alone")],
    [
      "CONNECT with a length",
      [...connect, ["content-length", "1"]],
      malformed("Content-Length is not one number"),
    ],
    [
      "protocol alone",
      [...get, [":protocol", "websocket"]],
      malformed(":protocol without CONNECT"),
    ],
    [
      "another protocol",
      [...websocket.filter(([name]) => name !== ":protocol"), [":protocol", "connect-udp"]],
      "reply unsupportedProtocol: :protocol other than websocket",
    ],
    [
      "length with a sign",
      [...get, ["content-length", "+1"]],
      malformed("Content-Length is not one number"),
    ],
    [
      "two lengths",
      [...get, ["content-length", "1"], ["content-length", "1"]],
      malformed("Content-Length is not one number"),
    ],
    [
      "length without content",
      [...get, ["content-length", "1"]],
      malformed("Content-Length is not that of the content"),
    ],
    ["expectation", [...get, ["expect", "x"]], "reply unknownExpectation: not 100-continue"],
    ["long target", withPath(`/${"a".repeat(8192)}`), "reply targetTooLong: request line too long"],
    [
      "many fields",
      [...get, ...Array.from({ length: 100 }, () => ["a", "b"] as const)],
      "reply headTooLarge: too many fields",
    ],
    ["large", [...get, ["a", "b".repeat(61_300)]], "reply headTooLarge: head too long"],
  ];
  test.each(rows)("%s", (_name, fields, why) => {
    expect(readRequest(fields)).toBe(why);
  });
});

describe("a response", () => {
  const rows: readonly (readonly [name: string, fields: Fields, method: MethodId, head: string])[] =
    [
      [
        "plain",
        [
          [":status", "200"],
          ["x", "1"],
        ],
        MethodId.get,
        "HTTP/1.1 200 OK|x: 1| framing 5",
      ],
      [
        "with a length",
        [
          [":status", "200"],
          ["content-length", "3"],
        ],
        MethodId.get,
        "HTTP/1.1 200 OK|content-length: 3| framing 1",
      ],
      [
        "with a padded length",
        [
          [":status", "200"],
          ["content-length", "003"],
        ],
        MethodId.get,
        "HTTP/1.1 200 OK|content-length: 003| framing 1",
      ],
      [
        "to HEAD",
        [
          [":status", "200"],
          ["content-length", "3"],
        ],
        MethodId.head,
        "HTTP/1.1 200 OK|content-length: 3| framing 0",
      ],
      ["interim", [[":status", "103"]], MethodId.get, "HTTP/1.1 103 | framing 0"],
      ["304", [[":status", "304"]], MethodId.get, "HTTP/1.1 304 Not Modified| framing 0"],
      [
        "204 with a length",
        [
          [":status", "204"],
          ["content-length", "3"],
        ],
        MethodId.get,
        "HTTP/1.1 204 No Content|content-length: 3| framing 0",
      ],
      ["204", [[":status", "204"]], MethodId.get, "HTTP/1.1 204 No Content| framing 0"],
      ["of an unknown status", [[":status", "599"]], MethodId.get, "HTTP/1.1 599 | framing 5"],
      ["to CONNECT", [[":status", "200"]], MethodId.connect, "HTTP/1.1 200 OK| framing 4"],
      ["101", [[":status", "101"]], MethodId.get, "stream upstreamBadResponse: :status"],
      ["99", [[":status", "99"]], MethodId.get, "stream upstreamBadResponse: :status"],
      ["no status", [["x", "1"]], MethodId.get, "stream upstreamBadResponse: :status"],
      [
        "a path",
        [
          [":status", "200"],
          [":path", "/"],
        ],
        MethodId.get,
        "stream upstreamBadResponse: pseudo-field that may not be there",
      ],
      [
        "connection",
        [
          [":status", "200"],
          ["connection", "close"],
        ],
        MethodId.get,
        "stream upstreamBadResponse: field of a connection",
      ],
      [
        "bad length",
        [
          [":status", "200"],
          ["content-length", "x"],
        ],
        MethodId.get,
        "stream upstreamBadResponse: Content-Length is not one number",
      ],
    ];
  test.each(rows)("%s", (_name, fields, method, head) => {
    expect(readResponse(fields, method)).toBe(head);
  });

  test("of a websocket is a 101", () => {
    expect(readResponse([[":status", "200"]], MethodId.get, true)).toBe(
      "HTTP/1.1 101 Switching Protocols|connection: upgrade|upgrade: websocket| framing 4",
    );
    expect(readResponse([[":status", "403"]], MethodId.get, true)).toBe(
      "HTTP/1.1 403 Forbidden| framing 5",
    );
  });
});

test("heads of any size move to a new slab whole, and old ones stay", () => {
  const block = new FieldBlock(new MessageHead(), new HeadArena(), listBytesMax);
  const section = new RequestSection(block, true);
  const kept: [bytes: Uint8Array, start: number, end: number, text: string][] = [];
  for (let size = 1; size < 50_000; size = Math.ceil(size * 1.17)) {
    const fields: Fields = [
      ...get,
      ["a", "1"],
      ["cookie", "x"],
      ["b", "v".repeat(size)],
      ["cookie", "y"],
      ["c", "2"],
    ];
    const bytes = literals(fields);
    expect(section.decode(bytes, 0, bytes.length, true)).toBeUndefined();
    const { head } = block;
    expect(headDifference(head)).toBeUndefined();
    kept.push([head.bytes, head.start, head.end, head.text(head.start, head.end)]);
  }
  for (const [bytes, start, end, text] of kept)
    expect(Buffer.from(bytes.subarray(start, end)).toString()).toBe(text);
});
