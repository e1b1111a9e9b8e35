/** What a response says of the endpoint that sent it. */
import { describe, expect, test } from "bun:test";
import { MessageHead } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";
import { scanResponseHead } from "../../http1/response-head.ts";
import { outcomeStatus, waitMsOf } from "./outcome.ts";

const now = Date.UTC(2026, 0, 1);

function head(status: number, ...fields: readonly string[]): MessageHead {
  const text = [`HTTP/1.1 ${status} X`, ...fields, "", ""].join("\r\n");
  const bytes = new TextEncoder().encode(text);
  const scanned = new MessageHead();
  scanned.requestMethod = MethodId.post;
  if (scanResponseHead(bytes, 0, bytes.length, scanned) !== bytes.length) throw new Error(text);
  return scanned;
}

const grpc = "content-type: application/grpc";
const proto = "Content-Type: application/gRPC+proto";
const web = "content-type: application/grpc-web";

describe("the outcome", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [status: number, fields: string[], outcome: number][] = [
    [200, [],                          200],
    [503, [],                          503],
    [200, [grpc],                      200],
    [200, [grpc, "grpc-status: 0"],    200],
    [200, [grpc, "grpc-status: 8"],    429],
    [200, [proto, "grpc-status: 14"],  503],
    [200, [grpc, "grpc-status: 4"],    504],
    [200, [grpc, "grpc-status: 5"],    404],
    [200, [grpc, "grpc-status: 16"],   401],
    [200, [grpc, "grpc-status: 17"],   500],
    [200, [grpc, "grpc-status: -1"],   500],
    [200, [grpc, "grpc-status:"],      500],
    [200, [grpc, "grpc-status: 99999999999999"], 500],
    [200, [web, "grpc-status: 14"],    200],
    [200, ["grpc-status: 14"],         200],
    [404, [grpc, "grpc-status: 14"],   404],
  ];
  for (const [status, fields, outcome] of rows)
    test(`of ${status} ${fields.join(", ")} is ${outcome}`, () => {
      expect(outcomeStatus(head(status, ...fields))).toBe(outcome);
    });
});

describe("the wait asked for", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [status: number, fields: string[], waitMs: number][] = [
    [429, ["retry-after: 5"],                              5_000],
    [503, ["Retry-After: 120"],                            120_000],
    [503, ["retry-after: Thu, 01 Jan 2026 00:00:30 GMT"],  30_000],
    [503, ["retry-after: Thursday, 01-Jan-26 00:00:30 GMT"], 30_000],
    [503, ["retry-after: Wed, 31 Dec 2025 23:00:00 GMT"],  0],
    [503, ["retry-after: 999999999"],                      86_400_000],
    [503, ["retry-after: 1e3"],                            0],
    [503, ["retry-after: soon"],                           0],
    [503, ["retry-after: -5"],                             0],
    [503, ["retry-after: 2026-01-01"],                     0],
    [503, [],                                              0],
    [500, ["retry-after: 5"],                              0],
    [200, ["retry-after: 5"],                              0],
    [200, [grpc, "grpc-retry-pushback-ms: 250"],           250],
    [200, [grpc, "grpc-retry-pushback-ms: -1"],            0],
    [200, ["grpc-retry-pushback-ms: 250"],                 0],
  ];
  for (const [status, fields, waitMs] of rows)
    test(`by ${status} ${fields.join(", ")} is ${waitMs} ms`, () => {
      expect(waitMsOf(head(status, ...fields), now)).toBe(waitMs);
    });
});
