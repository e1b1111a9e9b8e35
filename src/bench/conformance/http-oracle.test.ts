/** The judge is judged: what the oracle reads in streams whose reading is beyond doubt. */
import { expect, test } from "bun:test";
import { octets, readStream } from "../../testing/http1-stream.ts";
import { judgeAgreement } from "./http-judgement.ts";
import { type OracleContext, readOracle } from "./http-oracle.ts";

type Row = readonly [what: string, text: string, bodies: readonly string[], tail: string];

const get = "GET / HTTP/1.1\r\nHost: a\r\n";
const requests: readonly Row[] = [
  ["nothing", "", [], "none"],
  ["one request", `${get}\r\n`, [""], "none"],
  ["two requests", `${get}\r\n${get}\r\n`, ["", ""], "none"],
  ["half a request", get, [], "wait"],
  ["content by length", `${get}Content-Length: 3\r\n\r\nabc`, ["abc"], "none"],
  ["half its content", `${get}Content-Length: 3\r\n\r\nab`, [], "wait"],
  [
    "chunks",
    `${get}Transfer-Encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n0\r\nx: y\r\n\r\n`,
    ["abc"],
    "none",
  ],
  ["half a chunk", `${get}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r`, [], "wait"],
  ["a chunk too long", `${get}Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n`, [], "reject"],
  ["both framings", `${get}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n`, [], "reject"],
  ["two lengths", `${get}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`, [], "reject"],
  ["a bare LF", "GET / HTTP/1.1\nHost: a\n\n", [], "reject"],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", [], "reject"],
  ["Host and target differ", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", [], "reject"],
  ["what follows close", `${get}Connection: close\r\n\r\nrubbish`, [""], "ignore"],
  ["what follows CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nrubbish", [""], "ignore"],
  ["rubbish after a request", `${get}\r\nrub bish`, [""], "wait"],
  ["more rubbish after a request", `${get}\r\nrub bish\r\n`, [""], "reject"],
];
for (const [what, text, bodies, tail] of requests) {
  test(`oracle: ${what}`, () => {
    const reading = readOracle(text);
    expect(reading.messages.map(({ body }) => body)).toEqual([...bodies]);
    expect(reading.tail).toBe(tail as typeof reading.tail);
  });
}

const ok = "HTTP/1.1 200 OK\r\n";
const responses: readonly (readonly [...Row, context?: OracleContext])[] = [
  ["a length", `${ok}Content-Length: 003\r\n\r\nabc`, ["abc"], "none"],
  ["until the close, still open", `${ok}\r\nabc`, [], "wait"],
  ["until the close", `${ok}\r\nabc`, ["abc"], "none", { closed: true }],
  [
    "an interim one",
    `HTTP/1.1 100 Continue\r\n\r\n${ok}Content-Length: 1\r\n\r\na`,
    ["", "a"],
    "none",
  ],
  ["HEAD", `${ok}Content-Length: 3\r\n\r\n`, [""], "none", { requestMethod: "HEAD" }],
  ["204", "HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\n", [""], "none"],
  ["101 unasked", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", [], "reject"],
  ["two responses", `${ok}Content-Length: 0\r\n\r\n`.repeat(2), ["", ""], "none"],
];
for (const [what, text, bodies, tail, context] of responses) {
  test(`oracle of responses: ${what}`, () => {
    const reading = readOracle(text, { ...context, response: true });
    expect(reading.messages.map(({ body }) => body)).toEqual([...bodies]);
    expect(reading.tail).toBe(tail as typeof reading.tail);
  });
}

test("agreement is asked of whole streams, and found", () => {
  for (const [, text] of requests) {
    expect(judgeAgreement(octets(text), {}, 1)).toBeUndefined();
  }
  expect(readStream([octets(`${get}\r\n`)]).messages).toHaveLength(1);
});
