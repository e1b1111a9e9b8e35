/** Which request heads are understood, as what, and which are refused with which status. */
import { expect, test } from "bun:test";
import { FieldId } from "../http/field-id.ts";
import { defaultHeadLimits, Framing, MessageHead, TargetForm } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { cuts } from "../testing/cuts.ts";
import { expectLinear } from "../testing/growth.ts";
import { Http1Stream, octets, readStream, summary } from "../testing/http1-stream.ts";
import { scanRequestHead } from "./request-head.ts";

const seed = 1;

/** Lines with "\n" for CRLF and the empty line added. */
const head = (text: string): string => `${text.replaceAll("\n", "\r\n")}\r\n\r\n`;

function scan(text: string): MessageHead {
  const bytes = octets(text);
  const found = new MessageHead();
  expect(scanRequestHead(bytes, 0, bytes.length, found)).toBe(bytes.length);
  return found;
}

/** Reads the text at every cut, expects the same each time, and returns what was seen. */
function read(text: string): Http1Stream {
  const whole = readStream([octets(text)]);
  for (const chunks of cuts(octets(text), seed)) {
    expect(summary(readStream(chunks))).toBe(summary(whole));
  }
  return whole;
}

test("the parts of a request are found", () => {
  const found = scan(head("POST /a/b?c=d?e HTTP/1.1\nHost: Example.com:8080\ncontent-length: 12"));
  expect(found.method).toBe(MethodId.post);
  expect(found.text(found.pathStart, found.pathEnd)).toBe("/a/b");
  expect(found.text(found.queryStart, found.queryEnd)).toBe("c=d?e");
  expect(found.text(found.authorityStart, found.hostEnd)).toBe("Example.com");
  expect(found.port).toBe(8080);
  expect(found.form).toBe(TargetForm.origin);
  expect(found.framing).toBe(Framing.length);
  expect(found.contentLength).toBe(12);
  expect(found.keepsAlive).toBe(true);
  expect(found.fieldCount).toBe(2);
  expect(found.has(FieldId.contentLength)).toBe(true);
  expect(found.valueText(found.firstOf[FieldId.host]!)).toBe("Example.com:8080");
});

test("fields are found by name, in any case, all of them", () => {
  const found = scan(
    head("GET / HTTP/1.1\nHost: a\nX-B: 1\nx-b: 2\nY-B: 3\nX_B: 4\nX-BB: 5\nX^Z: 6\nX-Z: 7"),
  );
  expect([found.has(FieldId.host), found.has(FieldId.cookie)]).toEqual([true, false]);
  const values = (name: string): string[] => {
    const all: string[] = [];
    for (let i = found.find(octets(name)); i >= 0; i = found.find(octets(name), i + 1)) {
      all.push(found.valueText(i));
    }
    return all;
  };
  expect(values("x-b")).toEqual(["1", "2"]);
  expect(values("y-b")).toEqual(["3"]);
  expect(values("z-b")).toEqual([]);
  expect(values("x~z")).toEqual([]);
  expect(values("x-z")).toEqual(["7"]);
});

test("an absolute target names the authority and leaves the path", () => {
  const found = scan(head("GET HTTPS://[::1]:8443?x HTTP/1.1\nHost: [::1]:8443"));
  expect(found.form).toBe(TargetForm.absolute);
  expect(found.schemeIsHttps).toBe(true);
  expect(found.text(found.authorityStart, found.authorityEnd)).toBe("[::1]:8443");
  expect(found.pathStart).toBe(found.pathEnd);
  expect(found.text(found.queryStart, found.queryEnd)).toBe("x");
});

test("a head is reusable: nothing of the last message remains", () => {
  const found = new MessageHead();
  const rich = octets(
    head(`GET http://a/?q HTTP/1.1
Host: a
Connection: close, upgrade, x
X: 1
TE: trailers
Upgrade: websocket
Expect: 100-continue`),
  );
  expect(scanRequestHead(rich, 0, rich.length, found)).toBe(rich.length);
  expect(found.upgradesToWebsocket && found.acceptsTrailers && found.expectsContinue).toBe(true);
  const plain = octets(head("GET / HTTP/1.0"));
  expect(scanRequestHead(plain, 0, plain.length, found)).toBe(plain.length);
  const fresh = new MessageHead();
  scanRequestHead(plain, 0, plain.length, fresh);
  const numbers = (from: MessageHead): unknown =>
    Object.entries(from).filter(([, value]) =>
      ["number", "boolean", "string"].includes(typeof value),
    );
  expect(numbers(found)).toEqual(numbers(fresh));
  expect(found.firstOf).toEqual(fresh.firstOf);
});

const sound: readonly (readonly [what: string, text: string, start: string])[] = [
  ["no fields in 1.0", head("GET / HTTP/1.0"), "GET /"],
  ["an unknown method", head("BREW /pot HTTP/1.1\nHost: a"), "BREW /pot"],
  ["a minor version above 1", head("GET / HTTP/1.2\nHost: a"), "GET /"],
  ["an empty Host", head("GET / HTTP/1.1\nHost:"), "GET /"],
  ["every octet of obs-text", head("GET / HTTP/1.0\nX: \x80\xff"), "GET /"],
  ["a target in other letters", head("GET HTTP://AZ/ HTTP/1.1\nHost: az"), "GET HTTP://AZ/"],
  [
    "CONNECT that says it has no content",
    head("CONNECT a:1 HTTP/1.1\nHost:a\nContent-Length: 0"),
    "CONNECT a:1",
  ],
  ["blanks before a comma", head("GET / HTTP/1.1\nHost: a\nConnection: close\t , x"), "GET /"],
  ["a Host that is an IP literal", head("GET / HTTP/1.1\nHost: [::1]:80"), "GET /"],
  ["the highest port", head("GET / HTTP/1.1\nHost: a:65535"), "GET /"],
  ["OPTIONS *", head("OPTIONS * HTTP/1.1\nHost: a"), "OPTIONS *"],
  ["CONNECT", head("CONNECT a:443 HTTP/1.1\nHost: a:443"), "CONNECT a:443"],
  ["blanks around a value", head("GET / HTTP/1.1\nHost: \t a \t "), "GET /"],
  ["obs-text in a value", head("GET / HTTP/1.1\nHost: a\nX: caf\xe9"), "GET /"],
  [
    "an absolute target, port left out",
    head("GET http://A/x HTTP/1.1\nHost: a:80"),
    "GET http://A/x",
  ],
  ["a tilde in the target", head("GET /~a HTTP/1.0"), "GET /~a"],
  ["four empty lines first", `${"\r\n".repeat(4)}${head("GET / HTTP/1.0")}`, "GET /"],
  ["some empty lines first", `\r\n\r\n${head("GET / HTTP/1.1\nHost: a")}`, "GET /"],
  ["Expect in any case", head("PUT / HTTP/1.1\nHost: a\nExpect: 100-Continue"), "PUT /"],
  ["a repeated field that frames nothing", head("GET / HTTP/1.1\nHost: a\nX: 1\nX: 2"), "GET /"],
  ["empty connection options", head("GET / HTTP/1.1\nHost: a\nConnection: , ,close,"), "GET /"],
];
for (const [what, text, start] of sound) {
  test(`understood: ${what}`, () => {
    const stream = read(text);
    expect(stream.failure?.reason).toBeUndefined();
    expect(stream.messages.map((message) => message.start)).toEqual([start]);
  });
}

const host = "\nHost: a";
const refused: readonly (readonly [what: string, text: string, status: number])[] = [
  ["bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400],
  ["bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400],
  ["bare LF first", `\n${head("GET / HTTP/1.1\nHost: a")}`, 400],
  ["bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400],
  ["bare CR before the end", "GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n", 400],
  ["NUL in a value", head("GET / HTTP/1.1\nHost: a\nX: a\0b"), 400],
  ["another control character in a value", head("GET / HTTP/1.1\nHost: a\nX: a\x7fb"), 400],
  ["line folding", head("GET / HTTP/1.1\nHost: a\nX: a\n b"), 400],
  ["a space before the first field", head("GET / HTTP/1.1\n Host: a"), 400],
  ["a space before a colon", head("GET / HTTP/1.1\nHost : a"), 400],
  ["a field without a colon", head("GET / HTTP/1.1\nHost: a\nnonsense"), 400],
  ["an empty name", head("GET / HTTP/1.1\nHost: a\n: b"), 400],
  ["a name with an 8-bit octet", head("GET / HTTP/1.1\nHost: a\nX\xff: b"), 400],
  ["an 8-bit method", head(`G\xc9T / HTTP/1.1${host}`), 400],
  ["no target", head(`GET HTTP/1.1${host}`), 400],
  ["no target between two spaces", head(`GET  HTTP/1.1${host}`), 400],
  ["a tab after the method", head(`GET\t/ HTTP/1.1${host}`), 400],
  ["a tab after the target", head(`GET /\tHTTP/1.1${host}`), 400],
  ["an empty fragment in place of a space", head(`GET /#HTTP/1.1${host}`), 400],
  ["an 8-bit octet in place of a space", head(`GET /\xa0HTTP/1.1${host}`), 400],
  ["five empty lines first", `${"\r\n".repeat(5)}${head("GET / HTTP/1.0")}`, 400],
  ["two spaces before the target", head(`GET  / HTTP/1.1${host}`), 400],
  ["two spaces after the target", head(`GET /  HTTP/1.1${host}`), 400],
  ["a space at the end of the line", head(`GET / HTTP/1.1 ${host}`), 400],
  ["HTTP/0.9", "GET /\r\n\r\n", 400],
  ["a fragment", head(`GET /a#b HTTP/1.1${host}`), 400],
  ["an 8-bit target", head(`GET /\xe9 HTTP/1.1${host}`), 400],
  ["DEL in the query", head(`GET /?\x7f HTTP/1.1${host}`), 400],
  ["* with GET", head(`GET * HTTP/1.1${host}`), 400],
  ["a relative target", head(`GET a/b HTTP/1.1${host}`), 400],
  ["another scheme", head(`GET ftp://a/ HTTP/1.1${host}`), 400],
  ["another scheme, in 1.0", head("GET ftp://a/ HTTP/1.0"), 400],
  ["a relative target, in 1.0", head("GET a HTTP/1.0"), 400],
  ["* with GET, in 1.0", head("GET * HTTP/1.0"), 400],
  ["OPTIONS with a relative target", head("OPTIONS a HTTP/1.0"), 400],
  ["half a scheme", head("GET http HTTP/1.0"), 400],
  ["a scheme and a colon", head("GET http: HTTP/1.0"), 400],
  ["a scheme and one slash", head("GET http:/a/ HTTP/1.0"), 400],
  ["a scheme and one slash too late", head("GET http:a//b HTTP/1.0"), 400],
  ["a scheme with a letter more", head("GET httpx://a/ HTTP/1.0"), 400],
  ["a scheme without its colon", head("GET https//a/ HTTP/1.0"), 400],
  ["userinfo in the target, in 1.0", head("GET http://u@a/ HTTP/1.0"), 400],
  ["an absolute target without a host, in 1.0", head("GET http://:80/ HTTP/1.0"), 400],
  ["an absolute target and a Host that is none", head("GET http://a/ HTTP/1.1\nHost: a/b"), 400],
  ["CONNECT without a host", head("CONNECT :443 HTTP/1.1\nHost: a"), 400],
  ["CONNECT and a Host that is none", head("CONNECT a:443 HTTP/1.1\nHost: a/b"), 400],
  ["an empty IP literal", head("GET / HTTP/1.1\nHost: []"), 400],
  ["an absolute target without a host", head(`GET http:///x HTTP/1.1${host}`), 400],
  ["userinfo in the target", head(`GET http://u@a/ HTTP/1.1${host}`), 400],
  ["userinfo in Host", head("GET / HTTP/1.1\nHost: u@a"), 400],
  ["a path in Host", head("GET / HTTP/1.1\nHost: a/b"), 400],
  ["a comma list in Host with a space", head("GET / HTTP/1.1\nHost: a, b"), 400],
  ["a port that is no number", head("GET / HTTP/1.1\nHost: a:8o"), 400],
  ["a port above 65535", head("GET / HTTP/1.1\nHost: a:65536"), 400],
  ["an unclosed IP literal", head("GET / HTTP/1.1\nHost: [::1"), 400],
  ["Host and target differ", head("GET http://b/ HTTP/1.1\nHost: a"), 400],
  ["ports of Host and target differ", head("GET http://a:81/ HTTP/1.1\nHost: a"), 400],
  ["no Host in 1.1", head("GET / HTTP/1.1"), 400],
  ["two Hosts", head(`GET / HTTP/1.1${host}${host}`), 400],
  ["two Hosts in 1.0", head(`GET / HTTP/1.0${host}${host}`), 400],
  ["CONNECT without a port", head(`CONNECT a HTTP/1.1${host}`), 400],
  ["CONNECT with a path", head(`CONNECT /a HTTP/1.1${host}`), 400],
  ["CONNECT with content", head(`CONNECT a:1 HTTP/1.1${host}\nContent-Length: 3`), 400],
  ["HTTP/2.0 in this syntax", head(`GET / HTTP/2.0${host}`), 505],
  ["HTTP/0.1", head(`GET / HTTP/0.1${host}`), 505],
  ["a version in lower case", head(`GET / http/1.1${host}`), 400],
  ["two digits of minor version", head(`GET / HTTP/1.01${host}`), 400],
  [
    "Content-Length twice, alike",
    head(`PUT / HTTP/1.1${host}\nContent-Length: 0\nContent-Length: 0`),
    400,
  ],
  ["Content-Length list", head(`PUT / HTTP/1.1${host}\nContent-Length: 5, 5`), 400],
  ["Content-Length with a sign", head(`PUT / HTTP/1.1${host}\nContent-Length: +5`), 400],
  ["Content-Length empty", head(`PUT / HTTP/1.1${host}\nContent-Length:`), 400],
  ["Content-Length with leading zeros", head(`PUT / HTTP/1.1${host}\nContent-Length: 05`), 400],
  ["Content-Length in hexadecimal", head(`PUT / HTTP/1.1${host}\nContent-Length: 0x5`), 400],
  ["Content-Length of 2^53", head(`PUT / HTTP/1.1${host}\nContent-Length: 9007199254740992`), 413],
  [
    "both framings",
    head(`PUT / HTTP/1.1${host}\nContent-Length: 5\nTransfer-Encoding: chunked`),
    400,
  ],
  ["Transfer-Encoding in 1.0", head(`PUT / HTTP/1.0${host}\nTransfer-Encoding: chunked`), 400],
  [
    "Transfer-Encoding twice",
    head(`PUT / HTTP/1.1${host}\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked`),
    400,
  ],
  ["chunked not last", head(`PUT / HTTP/1.1${host}\nTransfer-Encoding: chunked, gzip`), 400],
  ["chunked with a parameter", head(`PUT / HTTP/1.1${host}\nTransfer-Encoding: chunked;a=b`), 400],
  ["chunked in quotes", head(`PUT / HTTP/1.1${host}\nTransfer-Encoding: "chunked"`), 400],
  ["an empty coding", head(`PUT / HTTP/1.1${host}\nTransfer-Encoding:`), 400],
  [
    "another coding before chunked",
    head(`PUT / HTTP/1.1${host}\nTransfer-Encoding: gzip, chunked`),
    501,
  ],
  ["an unknown coding", head(`PUT / HTTP/1.1${host}\nTransfer-Encoding: xchunked`), 501],
  ["an unknown expectation", head(`PUT / HTTP/1.1${host}\nExpect: 200-ok`), 417],
  ["a connection option that is no token", head(`GET / HTTP/1.1${host}\nConnection: "close"`), 400],
  ["connection options without a comma", head(`GET / HTTP/1.1${host}\nConnection: a b`), 400],
];
for (const [what, text, status] of refused) {
  test(`refused with ${status}: ${what}`, () => {
    const stream = read(text);
    expect(stream.messages).toEqual([]);
    expect(stream.failure?.http).toBe(status);
  });
}

test("a certain failure is refused before the head is complete", () => {
  const early = [
    "GET / HTTP/1.1\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\nb",
    "GET / HTTP/1.1\r\nX: \0",
    "GET / HTTP/3.0\r\n",
    `GET /${"a".repeat(9000)}`,
    `GET / HTTP/1.1\r\nX: ${"a".repeat(70_000)}`,
    "\r\n".repeat(9),
  ];
  for (const text of early) {
    const bytes = octets(text);
    const byByte = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    expect([text.slice(0, 30), readStream([bytes]).end]).toEqual([text.slice(0, 30), "refused"]);
    if (text !== "GET / HTTP/3.0\r\n") expect(readStream(byByte).end).toBe("refused");
  }
});

test("limits: line 414, head and fields 431, and exactly the limit passes", () => {
  const line = (length: number): string => `GET /${"a".repeat(length - 14)} HTTP/1.1`;
  const max = defaultHeadLimits.startLineBytesMax;
  const fields = (count: number): string => "\nX: 1".repeat(count - 1);
  const long = (bytes: number): string => {
    const rest = head(`GET / HTTP/1.1${host}\nX: `).length;
    return head(`GET / HTTP/1.1${host}\nX: ${"a".repeat(bytes - rest)}`);
  };
  const rows: readonly (readonly [text: string, status: number])[] = [
    [head(line(max) + host), 0],
    [head(line(max + 1) + host), 414],
    [head(`GET / HTTP/1.1${host}${fields(100)}`), 0],
    [head(`GET / HTTP/1.1${host}${fields(101)}`), 431],
    [long(defaultHeadLimits.headBytesMax), 0],
    [long(defaultHeadLimits.headBytesMax + 1), 431],
  ];
  for (const [text, status] of rows) {
    const bytes = octets(text);
    const half = [bytes.subarray(0, text.length >> 1), bytes.subarray(text.length >> 1)];
    expect(readStream([bytes]).failure?.http ?? 0).toBe(status);
    expect(readStream(half).failure?.http ?? 0).toBe(status);
  }
});

test("limits hold for every head of a connection, in pieces too", () => {
  const first = head(`GET / HTTP/1.1${host}`);
  const long = `GET /${"a".repeat(defaultHeadLimits.startLineBytesMax)}`;
  const bytes = octets(first + long);
  const pieces = [bytes.subarray(0, 9), bytes.subarray(9, first.length + 9)];
  const stream = readStream([...pieces, bytes.subarray(first.length + 9)]);
  expect([stream.messages.length, stream.failure?.http]).toEqual([1, 414]);
});

test("the HTTP/2 preface is recognised, and refused", () => {
  const stream = readStream([octets("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]);
  expect([stream.http2Preface, stream.failure?.http]).toEqual([true, 505]);
  expect(readStream([octets("PRI * HTTP/3.0\r\n\r\n")]).http2Preface).toBe(false);
});

test("Connection: what it says of the connection", () => {
  const keeps = (text: string): boolean => scan(head(text)).keepsAlive;
  expect(keeps(`GET / HTTP/1.1${host}`)).toBe(true);
  expect(keeps(`GET / HTTP/1.1${host}\nConnection: foo, Close`)).toBe(false);
  expect(keeps(`GET / HTTP/1.0${host}`)).toBe(false);
  expect(keeps(`GET / HTTP/1.0${host}\nConnection: keep-alive`)).toBe(false);
});

test("an upgrade is for websocket alone, by GET, without content", () => {
  const asks = (text: string): boolean => scan(head(text)).upgradesToWebsocket;
  const websocket = "\nConnection: Upgrade\nUpgrade: WebSocket";
  expect(asks(`GET / HTTP/1.1${host}${websocket}`)).toBe(true);
  expect(asks(`GET / HTTP/1.1${host}\nUpgrade: websocket`)).toBe(false);
  expect(asks(`GET / HTTP/1.1${host}\nConnection: upgrade\nUpgrade: h2c`)).toBe(false);
  expect(asks(`GET / HTTP/1.1${host}\nConnection: upgrade\nUpgrade: websocket, h2c`)).toBe(false);
  expect(asks(`GET / HTTP/1.1${host}${websocket}\nUpgrade: websocket`)).toBe(false);
  expect(asks(`POST / HTTP/1.1${host}${websocket}`)).toBe(false);
  expect(asks(`GET / HTTP/1.0${host}${websocket}`)).toBe(false);
  expect(asks(`GET / HTTP/1.1${host}${websocket}\nContent-Length: 1`)).toBe(false);
});

test("an expectation holds for an HTTP/1.1 client alone", () => {
  expect(scan(head(`PUT / HTTP/1.1${host}\nExpect: 100-continue`)).expectsContinue).toBe(true);
  expect(scan(head(`PUT / HTTP/1.1${host}`)).expectsContinue).toBe(false);
  const old = scan(head("PUT / HTTP/1.0\nExpect: 100-continue"));
  expect([old.expectsContinue, old.dropped[0]]).toEqual([false, 1]);
});

test("work grows with a head that comes in pieces, not faster", () => {
  const text = octets(`GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(60_000)}`);
  expectLinear((bytes) => {
    const stream = new Http1Stream();
    for (let at = 0; at < bytes; at += 7) stream.push(text.subarray(at, at + 7));
    expect(stream.end).toBe("wait");
  }, 14_000);
});

test("many connection options cost a bounded amount of work", () => {
  const options = Array.from({ length: 33 }, (_, i) => `x${i}`).join(",");
  expect(read(head(`GET / HTTP/1.1${host}\nConnection: ${options}`)).failure?.http).toBe(400);
});
