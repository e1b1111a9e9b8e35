/** Which ends of a try are worth another, by the condition that an operator chose. */
import { describe, expect, test } from "bun:test";
import { type FailureName, Failures } from "../../core/failure.ts";
import { RetryOn, type RetryPolicy, retriesCode, retriesFailure, retriesStatus } from "./retry.ts";

function policy(on: number): RetryPolicy {
  return { attempts: 2, perTryTimeoutMs: 0, on, backoffMs: 25 };
}

describe("a response", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [condition: keyof typeof RetryOn, statuses: readonly number[]][] = [
    ["serverError",    [500, 501, 502, 503, 504, 505, 599]],
    ["gatewayError",   [502, 503, 504]],
    ["connectFailure", []],
    ["reset",          []],
  ];
  const all = [100, 200, 302, 404, 429, 499, 500, 501, 502, 503, 504, 505, 599, 600];
  for (const [condition, statuses] of rows)
    test(`is retried on ${condition} with ${statuses.join(", ") || "no status"}`, () => {
      const retried = all.filter((status) => retriesStatus(policy(RetryOn[condition]), status));
      expect(retried).toEqual(all.filter((status) => statuses.includes(status)));
    });
});

describe("a try without response", () => {
  const asked: readonly FailureName[] = [
    "connectFailure",
    "connectTimeout",
    "upstreamGone",
    "upstreamReset",
    "upstreamUnprocessed",
    "upstreamTimeout",
  ];
  // biome-ignore format: a table reads as a table
  const rows: readonly [condition: keyof typeof RetryOn, failures: readonly FailureName[]][] = [
    ["serverError",    asked],
    ["connectFailure", ["connectFailure", "connectTimeout"]],
    ["reset",          ["upstreamGone", "upstreamReset", "upstreamUnprocessed"]],
    ["gatewayError",   ["upstreamTimeout", "upstreamBadResponse"]],
    ["refusedStream",  ["upstreamUnprocessed"]],
  ];
  for (const [condition, failures] of rows)
    test(`is retried on ${condition} after ${failures.join(", ") || "nothing"}`, () => {
      const retried = asked.filter((name) =>
        retriesFailure(policy(RetryOn[condition]), Failures[name]),
      );
      expect(retried).toEqual(asked.filter((name) => failures.includes(name)));
    });

  test("that failed by our own decision or the client's is never retried", () => {
    for (const name of [
      "faultAbort",
      "overflow",
      "noUpstream",
      "downstreamGone",
      "badHost",
    ] as const)
      expect(retriesFailure(policy(RetryOn.serverError), Failures[name])).toBe(false);
  });
});

describe("a call of gRPC that ended with a code alone", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [condition: keyof typeof RetryOn, codes: readonly number[]])[] = [
    ["cancelled",         [1]],
    ["deadlineExceeded",  [4]],
    ["resourceExhausted", [8]],
    ["internal",          [13]],
    ["unavailable",       [14]],
    ["serverError",       []],
    ["connectFailure",    []],
    ["refusedStream",     []],
    ["reset",             []],
    ["gatewayError",      []],
    ["idempotentReset",   []],
  ];
  const all = Array.from({ length: 19 }, (_, i) => i - 1);
  for (const [condition, codes] of rows)
    test(`is retried on ${condition} with ${codes.join() || "no code"}`, () => {
      expect(all.filter((code) => retriesCode(RetryOn[condition], code))).toEqual([...codes]);
    });
});
