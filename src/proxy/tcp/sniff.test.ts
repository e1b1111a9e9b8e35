/** What a client is taken to speak, by what it says first. */
import { describe, expect, test } from "bun:test";
import { expectLinear } from "../../testing/growth.ts";
import { type Declared, knownBefore, type Sniffed, sniff } from "./sniff.ts";

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");
const hello = "\x16\x03\x01\x00\x80\x01\x00\x00\x7c\x03\x03";

/** `enough`: bytes after which it is known; one fewer is not enough. */
const rows: readonly (readonly [name: string, said: string, what: Sniffed, enough: number])[] = [
  ["HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http1", 16],
  ["HTTP/1.0", "HEAD /a?b HTTP/1.0\r\n\r\n", "http1", 20],
  ["an absolute target", "GET http://a/ HTTP/1.1\r\n", "http1", 24],
  ["CONNECT", "CONNECT a:443 HTTP/1.1\r\n", "http1", 24],
  ["OPTIONS *", "OPTIONS * HTTP/1.1\r\n", "http1", 20],
  ["a method that nobody knows", "brew-2 /pot HTTP/1.1\r\n", "http1", 22],
  ["a version that HTTP refuses", "GET / HTTP/9.9\r\n", "http1", 16],
  ["a bare LF, which HTTP refuses", "GET / HTTP/1.1\n", "http1", 15],
  ["octets above ASCII in a path", "GET /\xe9 HTTP/1.1\r\n", "http1", 17],
  ["an empty line before", "\r\nGET / HTTP/1.1\r\n", "http1", 18],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0", "http2", 24],
  ["nearly that preface", "PRI * HTTP/2.0\r\nHost: a\r\n\r\n", "http1", 17],
  ["a ClientHello", hello, "tls", 6],
  ["a ClientHello that says SSL 3", `\x16\x03\x00${hello.slice(3)}`, "tls", 6],
  ["a ClientHello in the smallest record", "\x16\x03\x01\x00\x04\x01", "tls", 6],
  ["another handshake message", "\x16\x03\x01\x00\x80\x02\x00", "opaque", 6],
  ["a TLS record of another version", "\x16\x02\x01\x00\x80\x01", "opaque", 2],
  ["a TLS record of a later version", "\x16\x04\x01\x00\x80\x01", "opaque", 2],
  ["a TLS record of version 3.5", "\x16\x03\x05\x00\x80\x01", "opaque", 3],
  ["an empty TLS record", "\x16\x03\x01\x00\x03\x01", "opaque", 5],
  ["a TLS record that is too long", "\x16\x03\x01\x40\x01\x01", "opaque", 5],
  ["a TLS alert", "\x15\x03\x01\x00\x02\x01\x00", "opaque", 1],
  ["HTTP/0.9", "GET /\r\n", "opaque", 7],
  ["Redis, inline", "GET key\r\n", "opaque", 9],
  ["Redis", "*1\r\n$4\r\nPING\r\n", "opaque", 3],
  ["memcached", "get key\r\n", "opaque", 9],
  ["PostgreSQL", "\0\0\0\x08\x04\xd2\x16\x2f", "opaque", 1],
  ["MongoDB", "\x41\0\0\0\x01", "opaque", 2],
  ["AMQP", "AMQP\0\0\x09\x01", "opaque", 5],
  ["Kafka", "\0\0\0\x2a\0\x12", "opaque", 1],
  ["NATS", 'CONNECT {"verbose":false}\r\n', "opaque", 27],
  ["STOMP", "CONNECT\naccept-version:1.2\n", "opaque", 8],
  ["SMTP", "EHLO a\r\n", "opaque", 8],
  ["SSH", "SSH-2.0-OpenSSH_9.6\r\n", "opaque", 20],
  ["RTSP", "DESCRIBE rtsp://a/b RTSP/1.0\r\n", "opaque", 30],
  ["SIP", "INVITE sip:a@b SIP/2.0\r\n", "opaque", 24],
  ["a control character in the line", "GET /\x00 HTTP/1.1\r\n", "opaque", 6],
  ["a DEL in the line", "GET /\x7f HTTP/1.1\r\n", "opaque", 6],
  ["an empty target", "GET  HTTP/1.1\r\n", "opaque", 15],
  ["a CR alone in the line", "GET /\rX HTTP/1.1\r\n", "opaque", 7],
  ["nothing but a space", " / HTTP/1.1\r\n", "opaque", 1],
  ["two empty lines", "\r\n\r\nGET / HTTP/1.1\r\n", "opaque", 3],
  ["a CR alone", "\rGET / HTTP/1.1\r\n", "opaque", 2],
  ["a version without a target", "GET HTTP/1.1\r\n", "opaque", 14],
  ["a method without an end", "A".repeat(40), "opaque", 33],
  ["a method of 32 octets", `${"A".repeat(32)} / HTTP/1.1\r\n`, "http1", 45],
  ["a path without an end", `GET /${"a".repeat(9_000)}`, "http1", 8_192],
  ["words without an end", `GET a${"a".repeat(9_000)}`, "opaque", 8_192],
  [
    "a header of the PROXY protocol, which is read before this",
    "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
    "opaque",
    32,
  ],
  ["and the binary one", "\r\n\r\n\0\r\nQUIT\n!\x11", "opaque", 3],
];

describe("by its first bytes", () => {
  for (const [name, said, what, enough] of rows)
    test(`${name}: ${what}`, () => {
      const bytes = bytesOf(said);
      for (let length = 0; length <= bytes.length; length++)
        expect([length, sniff(bytes.subarray(0, length))]).toEqual([
          length,
          length < enough ? undefined : what,
        ]);
    });
});

describe("before its first byte", () => {
  const before: readonly (readonly [Declared, port: number, what: Sniffed | undefined])[] = [
    ["http", 3_306, "http1"],
    ["http2", 80, "http2"],
    ["tcp", 80, "opaque"],
    ["tls", 443, undefined],
    ["tls", 25, undefined],
    ["unknown", 80, undefined],
    ["unknown", 5_432, undefined],
    ...[21, 22, 25, 53, 110, 119, 143, 587, 3_306, 27_017].map(
      (port) => ["unknown", port, "opaque"] as const,
    ),
  ];
  for (const [declared, port, what] of before)
    test(`${declared} at ${port}: ${what ?? "its bytes decide"}`, () => {
      expect(knownBefore(declared, port)).toBe(what);
    });
});

test("a longer line takes no more time than its length", () => {
  expectLinear((n) => {
    const bytes = bytesOf(`GET /${" ".repeat(n)}`);
    for (let i = 0; i < 20; i++) sniff(bytes);
  }, 1_900);
});
