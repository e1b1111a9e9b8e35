/** What the engine gives to an adapter, for tests: time that is told, a log and metrics to read. */
import { Log } from "../core/log.ts";
import type {
  Adapter,
  BoundInstance,
  Environment,
  LocalHandler,
  RemoteHandler,
} from "../policy/adapter.ts";
import { Exposition } from "../policy/exposition.ts";
import { readParameters } from "../policy/read-parameters.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface TestEnvironment extends Environment {
  readonly clock: VirtualClock;
  readonly lines: string[];
  readonly registry: Metrics;
}

export function adapterEnvironment(clock = new VirtualClock()): TestEnvironment {
  const lines: string[] = [];
  const registry = new Metrics({ seriesMax: 1_000 });
  const log = new Log("adapter", { level: "debug" }, (line) => lines.push(line));
  const exposition = new Exposition();
  const handler = "h.handler.default";
  return { handler, clock, log, metrics: registry, registry, exposition, lines };
}

/** A handler of parameters that are fine; else throws what is wrong with them. */
export function openLocal(
  adapter: Adapter,
  parameters: unknown,
  environment: Environment = adapterEnvironment(),
  bound: readonly BoundInstance[] = [],
): LocalHandler {
  const text = typeof parameters === "string" ? parameters : JSON.stringify(parameters);
  const { configured, problems } = readParameters(adapter, text, { bound });
  if (configured?.runsAt !== "proxy")
    throw new Error(problems.map(({ path, message }) => `${path}: ${message}`).join("\n"));
  return configured.open(environment);
}

export function openRemote(
  adapter: Adapter,
  parameters: unknown,
  environment: Environment = adapterEnvironment(),
): RemoteHandler {
  const { configured, problems } = readParameters(adapter, JSON.stringify(parameters));
  if (configured?.runsAt !== "mixer")
    throw new Error(problems.map(({ path, message }) => `${path}: ${message}`).join("\n"));
  return configured.open(environment);
}

/** "path: message", of parameters that are not fine. */
export function problemsOf(
  adapter: Adapter,
  parameters: unknown,
  bound: readonly BoundInstance[] = [],
): string[] {
  const text = typeof parameters === "string" ? parameters : JSON.stringify(parameters);
  const { problems } = readParameters(adapter, text, { bound });
  return problems.map(({ path, message, suggestion }) =>
    suggestion === undefined ? `${path}: ${message}` : `${path}: ${message} (${suggestion})`,
  );
}
