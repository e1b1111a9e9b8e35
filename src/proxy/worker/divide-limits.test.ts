/** What each of several workers is allowed, so that all together are allowed what was written. */
import { expect, test } from "bun:test";
import { fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { config } from "../../testing/snapshot-sample.ts";
import { divideLimits } from "./divide-limits.ts";

type Breaker = Readonly<Record<string, unknown>>;

/** As a Worker reads it. */
function breakerOf(circuitBreaker: Breaker, workers: number): unknown {
  const whole = config({ clusters: [{ name: "c", circuitBreaker } as never] });
  const bytes = toBinary(ProxyConfigSchema, divideLimits(whole, workers));
  const json = toJson(ProxyConfigSchema, fromBinary(ProxyConfigSchema, bytes));
  return (json as { clusters: [{ circuitBreaker: unknown }] }).clusters[0].circuitBreaker;
}

test.each<[Breaker, number, Breaker]>([
  [{ maxConnections: 100 }, 2, { maxConnections: 50 }],
  [{ maxConnections: 100 }, 3, { maxConnections: 34 }],
  [{ maxConnections: 1 }, 4, { maxConnections: 1 }],
  [{ maxConnections: 0 }, 4, { maxConnections: 0 }],
  [
    { maxPendingRequests: 8, maxRequests: 6, maxRetries: 4 },
    2,
    { maxPendingRequests: 4, maxRequests: 3, maxRetries: 2 },
  ],
  [
    { perEndpoint: { maxConnections: 8, maxPendingRequests: 6, maxRequests: 4, maxRetries: 2 } },
    2,
    { perEndpoint: { maxConnections: 4, maxPendingRequests: 3, maxRequests: 2, maxRetries: 1 } },
  ],
  // Of one connection, and of what is under way: the same for every worker.
  [{ maxRequestsPerConnection: 9 }, 3, { maxRequestsPerConnection: 9 }],
  [{ retryBudget: { percent: 20 } }, 3, { retryBudget: { percent: 20 } }],
])("%j among %i is %j each", (written, workers, each) => {
  expect(breakerOf(written, workers)).toEqual(each);
});

test("nothing else is changed, and the whole stays as it was", () => {
  const whole = config({
    version: "v1",
    clusters: [
      { name: "a", circuitBreaker: { maxRequests: 2 } },
      { name: "b", port: 80 },
    ],
    virtualHosts: [{ name: "h", domains: ["h"] }],
  });
  const part = divideLimits(whole, 2);
  expect(part.clusters[1]).toBe(whole.clusters[1]!);
  expect(part.virtualHosts).toBe(whole.virtualHosts);
  expect(whole.clusters[0]?.circuitBreaker?.maxRequests).toBe(2);
  const unlimited = config({ clusters: [{ name: "b" }] });
  expect(divideLimits(unlimited, 2)).toBe(unlimited);
});

/** The amounts that each of four Workers has. */
function amountsOf(adapter: string, parameters: string): unknown {
  const inlineHandler = { adapter, parameters };
  const handlers = [{ spec: inlineHandler }];
  const whole = config({ policy: { handlers, rules: [{ actions: [{ inlineHandler }] }] } });
  const part = divideLimits(whole, 4).policy!;
  const named = part.handlers[0]!.spec!.parameters;
  const { handler } = part.rules[0]!.actions[0]!;
  expect(handler.case === "inlineHandler" && handler.value.parameters).toBe(named);
  return named;
}

test.each<[adapter: string, written: object, each: object]>([
  [
    "memquota",
    { quotas: [{ name: "a", maxAmount: 100, validDuration: "1s" }] },
    { quotas: [{ name: "a", maxAmount: 25, validDuration: "1s" }] },
  ],
  [
    "memquota",
    {
      quotas: [{ max_amount: "10", overrides: [{ maxAmount: 1, dimensions: { maxAmount: "8" } }] }],
    },
    { quotas: [{ max_amount: 3, overrides: [{ maxAmount: 1, dimensions: { maxAmount: "8" } }] }] },
  ],
  ["memquota", { quotas: [{ maxAmount: 0 }, {}] }, { quotas: [{ maxAmount: 0 }, {}] }],
  ["memquota", { quotas: [{ maxAmount: "x" }] }, { quotas: [{ maxAmount: "x" }] }],
  // One Redis counts for all of them.
  ["redisquota", { quotas: [{ maxAmount: 100 }] }, { quotas: [{ maxAmount: 100 }] }],
])("quotas of %s: %j among four is %j each", (adapter, written, each) => {
  expect(JSON.parse(String(amountsOf(adapter, JSON.stringify(written))))).toEqual(each);
});

test("parameters that are no JSON stay as they are", () => {
  expect(amountsOf("memquota", "{")).toBe("{");
});
