/** What an engine runs on before it is told anything: nobody is reached. */
import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { assert } from "../../core/assert.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { compileSnapshot } from "./compile.ts";
import type { Snapshot } from "./snapshot.ts";

interface EmptyParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
}

export function emptySnapshot({ clock, random, metrics }: EmptyParts): Snapshot {
  const source = { service: "", version: "" };
  const parts = { clock, random, metrics, source, resolve: async () => [], former: undefined };
  const snapshot = compileSnapshot(create(ProxyConfigSchema), parts);
  assert(!Array.isArray(snapshot), "an empty configuration has no problems");
  return snapshot;
}
