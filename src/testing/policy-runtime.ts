/** A policy runtime for tests: time that is told, chance that is the same each time. */
import { Log } from "../core/log.ts";
import { seededRandom } from "../core/random.ts";
import { Exposition } from "../policy/exposition.ts";
import { PolicyRuntime } from "../policy/runtime.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface TestRuntime {
  readonly runtime: PolicyRuntime;
  readonly clock: VirtualClock;
  readonly metrics: Metrics;
  readonly exposition: Exposition;
  readonly lines: readonly string[];
  /** The sum of a metric's series. */
  counted(name: string): number;
}

export function policyRuntime(clock = new VirtualClock(), isProxy = false): TestRuntime {
  const lines: string[] = [];
  const metrics = new Metrics({ seriesMax: 1_000 });
  const exposition = new Exposition();
  const log = new Log("policy", { level: "debug" }, (line) => lines.push(line));
  const runtime = new PolicyRuntime({
    clock,
    log,
    metrics,
    exposition,
    random: seededRandom(1),
    isProxy,
  });
  const counted = (name: string): number => {
    const { families, values } = metrics.view();
    const family = families.find((one) => one.name === name);
    return (family?.series ?? []).reduce((sum, { slot }) => sum + values[slot]!, 0);
  };
  return { runtime, clock, metrics, exposition, lines, counted };
}
