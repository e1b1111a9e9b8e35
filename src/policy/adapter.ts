/**
 * The contract between the policy engine and what answers its questions.
 *
 *   Adapter ──configure(parameters)──▶ Configured ──open(environment)──▶ Handler ──close()──▶
 *            problems, all at once               starts what it needs      answers until then
 *
 * A local handler answers in place, synchronously, in every proxy and in the mixer. A remote one
 * needs a connection or state that the mesh shares, and answers in the mixer only, by promises that
 * never reject: what goes wrong is in the result, and the rule's own fail policy decides.
 */
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Place } from "../dialect/schema/place.ts";
import type { HandlerConnection } from "../model/handler.ts";
import type { MetricScope } from "../telemetry/metrics.ts";
import type { Exposition } from "./exposition.ts";
import type {
  CheckResult,
  GenerateResult,
  QuotaRequest,
  QuotaResult,
  ReportResult,
} from "./result.ts";
import type { AnyInstance, TemplateName } from "./template.ts";
import type { WorkloadDirectory } from "./workload-directory.ts";

interface Questions<Check, Quota, Report, Generate> {
  /** Templates of checks. */
  check?(instance: AnyInstance): Check;
  /** Templates of quotas. */
  allocate?(instance: AnyInstance, request: QuotaRequest): Quota;
  /** Templates of reports. */
  report?(instances: readonly AnyInstance[]): Report;
  /** Templates of generators. */
  generate?(instance: AnyInstance): Generate;
  /** Lets go of files, connections and timers; nothing is asked any more. Twice is once. */
  close(): void;
}

export type LocalHandler = Questions<CheckResult, QuotaResult, ReportResult, GenerateResult>;
export type RemoteHandler = Questions<
  Promise<CheckResult>,
  Promise<QuotaResult>,
  Promise<ReportResult>,
  Promise<GenerateResult>
>;

export interface Environment {
  /** The handler's full name, which tells its metrics apart. */
  readonly handler: string;
  readonly clock: Clock;
  readonly log: Log;
  /** For what an adapter counts about itself; retired by the engine after `close`. */
  readonly metrics: MetricScope;
  /** For series that operators define. */
  readonly exposition: Exposition;
  /** Who runs where; absent: nobody is known. */
  readonly workloads?: WorkloadDirectory;
}

/** An instance that some rule hands to the handler. */
export interface BoundInstance {
  readonly name: string;
  readonly template: TemplateName;
  /** The keys of its map, if its template has one that they are known of: dimensions, variables. */
  readonly dimensions?: readonly string[];
}

export type Configured =
  | { readonly runsAt: "proxy"; readonly open: (environment: Environment) => LocalHandler }
  | { readonly runsAt: "mixer"; readonly open: (environment: Environment) => RemoteHandler };

export interface Adapter {
  /** As a handler's `compiledAdapter`, and as the kind of the older form. */
  readonly name: string;
  /** Other names that it went by. */
  readonly aliases: readonly string[];
  readonly templates: readonly TemplateName[];
  readonly runsAt: Configured["runsAt"];
  /** Undefined after it has reported what is wrong. The place may be empty. */
  readonly configure: (
    place: Place,
    bound: readonly BoundInstance[],
    connection?: HandlerConnection,
  ) => Configured | undefined;
}

interface Definition<P, H> {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly templates: readonly TemplateName[];
  readonly read: (
    place: Place,
    bound: readonly BoundInstance[],
    connection?: HandlerConnection,
  ) => P | undefined;
  readonly open: (parameters: P, environment: Environment) => H;
}

export function localAdapter<P>(definition: Definition<P, LocalHandler>): Adapter {
  const { name, aliases = [], templates, read, open } = definition;
  const runsAt = "proxy";
  const configure: Adapter["configure"] = (place, bound) => {
    const parameters = reading(place, () => read(place, bound));
    return parameters && { runsAt, open: (environment) => open(parameters, environment) };
  };
  return { name, aliases, templates, runsAt, configure };
}

export function remoteAdapter<P>(definition: Definition<P, RemoteHandler>): Adapter {
  const { name, aliases = [], templates, read, open } = definition;
  const runsAt = "mixer";
  const configure: Adapter["configure"] = (place, bound, connection) => {
    const parameters = reading(place, () => read(place, bound, connection));
    return parameters && { runsAt, open: (environment) => open(parameters, environment) };
  };
  return { name, aliases, templates, runsAt, configure };
}

/** A misspelt parameter is an error, and never a default. */
function reading<P>(place: Place, read: () => P | undefined): P | undefined {
  const before = place.reading.errors;
  const parameters = read();
  return place.reading.errors === before ? parameters : undefined;
}
