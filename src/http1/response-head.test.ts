/** Which responses of an upstream are understood, how their content ends, and which become 502. */
import { expect, test } from "bun:test";
import { defaultHeadLimits, Framing, MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { cuts } from "../testing/cuts.ts";
import { octets, readStream, type StreamOptions, summary } from "../testing/http1-stream.ts";
import { scanResponseHead } from "./response-head.ts";

const seed = 2;
const head = (text: string): string => `${text.replaceAll("\n", "\r\n")}\r\n\r\n`;

function scan(text: string, method: MethodId = MethodId.get, upgrade = false): MessageHead {
  const bytes = octets(head(text));
  const found = new MessageHead();
  found.requestMethod = method;
  found.upgradeWasSent = upgrade;
  const end = scanResponseHead(bytes, 0, bytes.length, found);
  expect(end).toBe(found.failure === undefined ? bytes.length : -1);
  return found;
}

const framings: readonly (readonly [
  what: string,
  head: string,
  framing: Framing,
  method?: MethodId,
])[] = [
  ["a length", "HTTP/1.1 200 OK\nContent-Length: 5", Framing.length],
  ["chunked", "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked", Framing.chunked],
  ["neither", "HTTP/1.1 200 OK", Framing.untilClose],
  ["HEAD", "HTTP/1.1 200 OK\nContent-Length: 5", Framing.none, MethodId.head],
  ["HEAD, chunked", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked", Framing.none, MethodId.head],
  ["204", "HTTP/1.1 204 No Content\nTransfer-Encoding: chunked", Framing.none],
  ["304", "HTTP/1.1 304 Not Modified\nContent-Length: 10", Framing.none],
  ["100", "HTTP/1.1 100 Continue", Framing.none],
  ["CONNECT", "HTTP/1.1 200 OK\nContent-Length: 5", Framing.tunnel, MethodId.connect],
  ["CONNECT, 300", "HTTP/1.1 300 X\nContent-Length: 5", Framing.length, MethodId.connect],
  ["the highest status", "HTTP/1.1 599 X\nContent-Length: 5", Framing.length],
  ["a length with leading zeros", "HTTP/1.1 200 OK\nContent-Length: 0005", Framing.length],
  ["CONNECT, 204", "HTTP/1.1 204 No Content", Framing.tunnel, MethodId.connect],
  ["CONNECT refused", "HTTP/1.1 407 No\nContent-Length: 5", Framing.length, MethodId.connect],
  ["no reason", "HTTP/1.1 200 \nContent-Length: 5", Framing.length],
  ["no reason and no space", "HTTP/1.1 200\nContent-Length: 5", Framing.length],
];
for (const [what, text, framing, method] of framings) {
  test(`content after ${what}`, () => {
    expect(scan(text, method).failure).toBeUndefined();
    expect(scan(text, method).framing).toBe(framing);
  });
}

test("101 opens a tunnel only to the protocol that was asked for", () => {
  const other = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: h2c";
  expect(scan(other, MethodId.get, true).failure?.http).toBe(502);
  const none = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade";
  expect(scan(none, MethodId.get, true).failure?.http).toBe(502);
  const text = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket";
  expect(scan(text, MethodId.get, true).framing).toBe(Framing.tunnel);
  expect(scan(text).failure?.http).toBe(502);
});

test("a response without content says nothing of content that it may not have", () => {
  const dropped = (text: string, method?: MethodId): number[] => {
    const found = scan(text, method);
    return [...found.dropped.subarray(0, found.fieldCount)];
  };
  const both = "\nContent-Length: 5\nX: 1";
  expect(dropped(`HTTP/1.1 204 No Content${both}`)).toEqual([1, 0]);
  expect(dropped(`HTTP/1.1 103 Early Hints${both}`)).toEqual([1, 0]);
  expect(dropped(`HTTP/1.1 304 Not Modified${both}`)).toEqual([0, 0]);
  expect(dropped(`HTTP/1.1 200 OK${both}`, MethodId.head)).toEqual([0, 0]);
  expect(dropped(`HTTP/1.1 200 OK${both}`, MethodId.connect)).toEqual([1, 0]);
});

test("whether the upstream connection can be used again", () => {
  const keeps = (text: string): boolean => scan(text).keepsAlive;
  expect(keeps("HTTP/1.1 200 OK\nContent-Length: 5")).toBe(true);
  expect(keeps("HTTP/1.1 200 OK\nContent-Length: 5\nConnection: x")).toBe(true);
  expect(keeps("HTTP/1.1 200 OK\nContent-Length: 5\nConnection: x, close")).toBe(false);
  expect(keeps("HTTP/1.0 200 OK\nContent-Length: 5")).toBe(false);
  expect(keeps("HTTP/1.0 200 OK\nContent-Length: 5\nConnection: Keep-Alive")).toBe(true);
  expect(keeps("HTTP/1.1 200 OK")).toBe(false);
});

const refused: readonly (readonly [what: string, head: string])[] = [
  ["another protocol", "ICY 200 OK"],
  ["almost the protocol", "XTTP/1.1 200 OK"],
  ["HTTP/2.0", "HTTP/2.0 200 OK"],
  ["HTTP/1.10", "HTTP/1.10 200 OK"],
  ["a space first", " HTTP/1.1 200 OK"],
  ["an empty line first", "\nHTTP/1.1 200 OK"],
  ["two digits of status", "HTTP/1.1 99 X"],
  ["four digits of status", "HTTP/1.1 2000 X"],
  ["letters in the status", "HTTP/1.1 2xx X"],
  ["a status below 100", "HTTP/1.1 099 X"],
  ["a status above 599", "HTTP/1.1 600 X"],
  ["a tab after the version", "HTTP/1.1\t200 OK"],
  ["no space after the status", "HTTP/1.1 200OK"],
  ["NUL in the reason", "HTTP/1.1 200 \0"],
  ["line folding", "HTTP/1.1 200 OK\nX: a\n b"],
  ["a space before a colon", "HTTP/1.1 200 OK\nContent-Length : 5"],
  ["an empty name", "HTTP/1.1 200 OK\n: x"],
  ["two lengths", "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5"],
  ["a length with a sign", "HTTP/1.1 200 OK\nContent-Length: +5"],
  ["a length beyond 2^53", "HTTP/1.1 200 OK\nContent-Length: 99999999999999999999"],
  ["both framings", "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked"],
  ["another coding", "HTTP/1.1 200 OK\nTransfer-Encoding: gzip"],
  ["chunked twice", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked, chunked"],
  ["chunked in HTTP/1.0", "HTTP/1.0 200 OK\nTransfer-Encoding: chunked"],
  ["a connection option that is no token", 'HTTP/1.1 200 OK\nConnection: "x"'],
  ["too many fields", `HTTP/1.1 200 OK${"\nX: 1".repeat(101)}`],
  ["a head too long", `HTTP/1.1 200 OK\nX: ${"a".repeat(70_000)}`],
];
for (const [what, text] of refused) {
  test(`502: ${what}`, () => {
    expect(scan(text).failure?.reason).toBe("upstream-bad-response");
  });
}

test("exactly the limit of a head passes", () => {
  const rest = head("HTTP/1.1 200 OK\nX: ").length;
  const text = (bytes: number): string => `HTTP/1.1 200 OK\nX: ${"a".repeat(bytes - rest)}`;
  expect(scan(text(defaultHeadLimits.headBytesMax)).failure).toBeUndefined();
  expect(scan(text(defaultHeadLimits.headBytesMax + 1)).failure?.http).toBe(502);
});

test("the pieces that a response comes in make no difference", () => {
  const texts: readonly (readonly [text: string, options?: StreamOptions])[] = [
    [`${head("HTTP/1.1 100 Continue")}${head("HTTP/1.1 200 OK\nContent-Length: 5")}hello`],
    [`${head("HTTP/1.1 200 OK\nTransfer-Encoding: chunked")}5;a="b"\r\nhello\r\n0\r\nx: y\r\n\r\n`],
    [`${head("HTTP/1.0 200 OK")}until the end`],
    [`${head("HTTP/1.1 200 OK\nX : y")}`],
  ];
  for (const [text, options] of texts) {
    const all = { ...options, response: true };
    const whole = summary(readStream([octets(text)], all));
    for (const chunks of cuts(octets(text), seed)) {
      expect(summary(readStream(chunks, all))).toBe(whole);
    }
  }
});
