/** Answers of whoever is asked, whole and in pieces. */
import { expect, test } from "bun:test";
import { MethodId } from "../http/method.ts";
import { cuts, describeCuts } from "../testing/cuts.ts";
import { expectLinear } from "../testing/growth.ts";
import { HttpAnswerReader } from "./http-answer.ts";

interface Expected {
  readonly status?: number;
  readonly body?: string;
  readonly keepsAlive?: boolean;
  readonly fields?: readonly (readonly [string, string])[];
  readonly why?: string;
}
type Row = readonly [what: string, octets: string, expected: Expected];

const ok = "HTTP/1.1 200 OK\r\n";
const rows: readonly Row[] = [
  ["nothing in it", `${ok}content-length: 0\r\n\r\n`, { status: 200, body: "", keepsAlive: true }],
  ["content", `${ok}content-length: 5\r\n\r\nhello`, { body: "hello", keepsAlive: true }],
  [
    "chunks",
    `${ok}transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nx: y\r\n\r\n`,
    { body: "hello", keepsAlive: true },
  ],
  ["until the end", `${ok}\r\nhello`, { body: "hello", keepsAlive: false }],
  ["none by its status", "HTTP/1.1 204 No\r\n\r\n", { status: 204, body: "", keepsAlive: true }],
  ["close", `${ok}connection: close\r\ncontent-length: 0\r\n\r\n`, { keepsAlive: false }],
  ["an old version", "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", { keepsAlive: false }],
  [
    "interim answers before it",
    `HTTP/1.1 100 On\r\n\r\nHTTP/1.1 103 Early\r\nx: y\r\n\r\n${ok}content-length: 1\r\n\r\na`,
    { status: 200, body: "a", keepsAlive: true },
  ],
  [
    "fields",
    "HTTP/1.1 401 No\r\nX-A: 1\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nconnection: x-hop\r\n" +
      "x-hop: 1\r\ncontent-length: 2\r\nkeep-alive: timeout=5\r\n\r\nno",
    {
      ...{ status: 401, body: "no", keepsAlive: true },
      fields: [
        ["x-a", "1"],
        ["set-cookie", "a=b"],
        ["set-cookie", "c=d"],
      ],
    },
  ],
  ["something else", "SSH-2.0-x\r\n\r\n", { why: "the answer is no HTTP: status line" }],
  [
    "an upgrade",
    "HTTP/1.1 101 Yes\r\n\r\n",
    { why: "the answer is no HTTP: 101 that nobody asked for" },
  ],
  ["nothing", "", { why: "the answer is cut short" }],
  ["half a head", "HTTP/1.1 200", { why: "the answer is cut short" }],
  ["half a content", `${ok}content-length: 5\r\n\r\nhe`, { why: "the answer is cut short" }],
  [
    "half a chunk",
    `${ok}transfer-encoding: chunked\r\n\r\n5\r\nhe`,
    { why: "the answer is cut short" },
  ],
  [
    "a bad chunk",
    `${ok}transfer-encoding: chunked\r\n\r\nzz\r\n`,
    { why: "the answer is no HTTP: chunk size is not a hexadecimal number" },
  ],
  [
    "two lengths",
    `${ok}content-length: 1\r\ncontent-length: 2\r\n\r\n`,
    { why: "the answer is no HTTP: Content-Length" },
  ],
];

test.each(rows)("an answer with %s", (_, octets, expected) => {
  const bytes = Buffer.from(octets);
  for (const pieces of cuts(bytes, 1)) {
    const reader = new HttpAnswerReader(64 * 1024);
    reader.begin(MethodId.get);
    let answer = undefined as ReturnType<HttpAnswerReader["read"]>;
    for (const piece of pieces) answer ??= reader.read(piece, false);
    answer ??= reader.read(new Uint8Array(0), true);
    const found =
      answer !== undefined && "body" in answer
        ? { ...answer, body: Buffer.from(answer.body).toString() }
        : answer;
    expect(found, describeCuts(pieces)).toMatchObject(expected as object);
  }
});

test("what comes behind an answer ends the connection", () => {
  const reader = new HttpAnswerReader(64 * 1024);
  reader.begin(MethodId.get);
  const bytes = Buffer.from(`${ok}content-length: 1\r\n\r\nab`);
  expect(reader.read(bytes, false)).toMatchObject({ status: 200, keepsAlive: false });
});

test("an answer to HEAD has no content, whatever it says", () => {
  const reader = new HttpAnswerReader(64 * 1024);
  reader.begin(MethodId.head);
  const bytes = Buffer.from(`${ok}content-length: 100\r\n\r\n`);
  expect(reader.read(bytes, false)).toMatchObject({ status: 200, keepsAlive: true });
});

const long: readonly (readonly [what: string, octets: string])[] = [
  ["content", `${ok}content-length: 65537\r\n\r\n`],
  ["chunks", `${ok}transfer-encoding: chunked\r\n\r\n10001\r\n${"a".repeat(0x10001)}`],
  ["content until the end", `${ok}\r\n${"a".repeat(65_537)}`],
];
test.each(long)("too long: %s", (_, octets) => {
  const reader = new HttpAnswerReader(64 * 1024);
  reader.begin(MethodId.get);
  expect(reader.read(Buffer.from(octets), false)).toEqual({ why: "the answer is too long" });
});

test("a head without end is given up", () => {
  const reader = new HttpAnswerReader(64 * 1024);
  reader.begin(MethodId.get);
  let answer = undefined as unknown;
  for (let i = 0; i < 300 && answer === undefined; i++)
    answer = reader.read(Buffer.from(`x-${"a".repeat(1_000)}: 1\r\n`), false);
  expect(answer).toEqual({ why: "the answer is too long" });
});

test("reading grows with the answer and no faster, in however small pieces", () => {
  const fields = (n: number): Buffer =>
    Buffer.from(`${ok}${"x: y\r\n".repeat(20)}x: ${"z".repeat(n)}\r\ncontent-length: 1\r\n\r\na`);
  const answers = new Map([4_000, 16_000].map((n) => [n, fields(n)]));
  expectLinear((n) => {
    const reader = new HttpAnswerReader(64 * 1024);
    reader.begin(MethodId.get);
    const bytes = answers.get(n)!;
    for (let at = 0; at < bytes.length; at += 200) reader.read(bytes.subarray(at, at + 200), false);
  }, 4_000);
});
