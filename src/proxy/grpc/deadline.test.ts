/** grpc-timeout, as it is written and as we write it. */
import { describe, expect, test } from "bun:test";
import { MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { grpcTimeoutMs, timeoutLine } from "./deadline.ts";

function timeoutOf(fields: string): number {
  const bytes = Buffer.from(`POST /s/m HTTP/1.1\r\nHost: svc\r\n${fields}\r\n`);
  const head = new MessageHead();
  expect(scanRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  return grpcTimeoutMs(head);
}

describe("a timeout of", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [value: string, ms: number])[] = [
    ["1H",         3_600_000],
    ["2M",            120_000],
    ["3S",              3_000],
    ["100m",              100],
    ["2500u",             2.5],
    ["500000n",           0.5],
    ["00000001S",       1_000],
    ["99999999H", 359_999_996_400_000],
    // Not by its grammar, and so for the server to judge.
    ["0S",                  0],
    ["000000001S",          0],
    ["123456789m",          0],
    ["S",                   0],
    ["10",                  0],
    ["10s",                 0],
    ["10h",                 0],
    ["1.5S",                0],
    ["-1S",                 0],
    ["+1S",                 0],
    ["1 S",                 0],
    ["1SS",                 0],
    ["",                    0],
  ];
  for (const [value, ms] of rows)
    test(`"${value}" is ${ms === 0 ? "none" : `${ms} ms`}`, () =>
      expect(timeoutOf(`grpc-timeout: ${value}\r\n`)).toBe(ms));

  test("nobody, or of two fields, is none", () => {
    expect(timeoutOf("")).toBe(0);
    expect(timeoutOf("grpc-timeout: 1S\r\ngrpc-timeout: 2S\r\n")).toBe(0);
  });
});

describe("what is left is written as", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [ms: number, value: string])[] = [
    [1,                  "1m"],
    [0,                  "1m"],
    [-5,                 "1m"],
    [1_499.9,         "1499m"],
    [99_999_999,  "99999999m"],
    [100_000_500,   "100000S"],
    [100_000_000_000, "1666666M"],
    [99_999_999 * 60_000, "99999999M"],
    [359_999_996_400_000, "99999999H"],
    [1e18,          "99999999H"],
  ];
  for (const [ms, value] of rows)
    test(`${value} for ${ms} ms`, () =>
      expect(Buffer.from(timeoutLine(ms)).toString()).toBe(`grpc-timeout: ${value}\r\n`));
});
