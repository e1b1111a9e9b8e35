/** Where a call's status is found, and what HTTP's mean. */
import { describe, expect, test } from "bun:test";
import { MessageHead } from "../../http/message-head.ts";
import { scanResponseHead } from "../../http1/response-head.ts";
import { NEVER, NO_WAIT, pushbackMs } from "./pushback.ts";
import {
  codeOfHttp,
  messageIn,
  messageOf,
  NO_STATUS,
  statusIn,
  statusOf,
  UNKNOWN,
} from "./status.ts";

function headOf(fields: string): MessageHead {
  const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
  const head = new MessageHead();
  expect(scanResponseHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  return head;
}

describe("grpc-status", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [lines: string, status: number])[] = [
    ["",                                                    NO_STATUS],
    ["x-a: 1\r\n",                                          NO_STATUS],
    ["grpc-status: 0\r\n",                                  0],
    ["grpc-message: a:b\r\ngrpc-status: 14\r\nx: 1\r\n",    14],
    ["Grpc-Status:16\r\n",                                  16],
    ["grpc-status:  7 \r\n",                                7],
    ["grpc-status: 00\r\n",                                 0],
    ["grpc-status: 17\r\n",                                 UNKNOWN],
    ["grpc-status: 99\r\n",                                 UNKNOWN],
    ["grpc-status: 100\r\n",                                UNKNOWN],
    ["grpc-status: -1\r\n",                                 UNKNOWN],
    ["grpc-status: OK\r\n",                                 UNKNOWN],
    ["grpc-status: \r\n",                                   UNKNOWN],
    ["grpc-status-details-bin: AA\r\n",                     NO_STATUS],
    ["grpc-status: 5\r\ngrpc-status: 6\r\n",                5],
  ];
  for (const [lines, status] of rows)
    test(`${JSON.stringify(lines)} says ${status}`, () => {
      const bytes = Buffer.from(`grpc-status: 1\r\n${lines}rest`);
      expect(statusIn(bytes, 16, 16 + lines.length)).toBe(status);
      expect(statusOf(headOf(lines))).toBe(status);
    });
});

describe("grpc-message", () => {
  const rows: readonly (readonly [lines: string, message: string])[] = [
    ["", ""],
    ["grpc-status: 5\r\ngrpc-message: no%20book: 3\r\n", "no book: 3"],
    ["Grpc-Message:\t a b \t\r\nx: 1\r\n", "a b"],
    ["x-grpc-message: 1\r\ngrpc-message-x: 2\r\n", ""],
    ["grpc-message: %E2%82%AC\r\ngrpc-message: 2\r\n", "\u20ac"],
    ["grpc-message: 100%\r\n", "100%"],
    ["grpc-message: \r\nx: 1\r\n", ""],
  ];
  for (const [lines, message] of rows)
    test(JSON.stringify(lines), () => {
      const bytes = Buffer.from(`grpc-message: 1\r\n${lines}rest`);
      expect(messageIn(bytes, 17, 17 + lines.length)).toBe(message);
      expect(messageOf(headOf(lines))).toBe(message);
    });
});

test("statuses of HTTP mean what gRPC's table says", () => {
  const all = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };
  for (let status = 200; status < 600; status++)
    expect(codeOfHttp(status)).toBe((all as Record<number, number>)[status] ?? UNKNOWN);
});

describe("grpc-retry-pushback-ms", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [fields: string, ms: number])[] = [
    ["",                                                                    NO_WAIT],
    ["grpc-retry-pushback-ms: 0\r\n",                                       0],
    ["Grpc-Retry-Pushback-Ms: 1500\r\n",                                    1_500],
    ["grpc-retry-pushback-ms: 999999999\r\n",                               999_999_999],
    ["grpc-retry-pushback-ms: 1000000000\r\n",                              NEVER],
    ["grpc-retry-pushback-ms: -1\r\n",                                      NEVER],
    ["grpc-retry-pushback-ms: soon\r\n",                                    NEVER],
    ["grpc-retry-pushback-ms: \r\n",                                        NEVER],
    ["grpc-retry-pushback-ms: 1\r\ngrpc-retry-pushback-ms: 1\r\n",          NEVER],
  ];
  for (const [fields, ms] of rows)
    test(`${JSON.stringify(fields)} is ${ms}`, () => expect(pushbackMs(headOf(fields))).toBe(ms));
});
