/** Limits that depend on the process. */
import { expect, test } from "bun:test";
import { connectionsWithin, defaultEngineLimits } from "./limits.ts";

test("connections leave descriptors for their upstreams, the other engine and the rest", () => {
  const { downstreamConnectionsMax } = defaultEngineLimits;
  for (const [descriptors, engines, connections] of [
    [Number.POSITIVE_INFINITY, 2, downstreamConnectionsMax],
    [1_048_576, 2, downstreamConnectionsMax],
    [20_000, 1, 15_897],
    [20_000, 2, 11_923],
    [1_024, 2, 537],
    [100, 2, 16],
  ] as const)
    expect([descriptors, connectionsWithin(descriptors, engines)]).toEqual([
      descriptors,
      connections,
    ]);
});
