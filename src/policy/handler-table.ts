/**
 * Handlers that are open: shared by engines, closed with the last engine that has them.
 *
 *   acquire(resolved) ── same name and signature, and open ──▶ the one there is, with its counters
 *                     └─ else ──▶ a new one; one that fails to open stays in its place and answers
 *                                 nothing but faults, until the next publication tries again
 */
import { assert } from "../core/assert.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Counter, MetricScope, Metrics } from "../telemetry/metrics.ts";
import type { Exposition } from "./exposition.ts";
import { type Opened, OpenHandler, whyOf } from "./open-handler.ts";
import type { ResolvedHandler } from "./resolved-policy.ts";
import type { WorkloadDirectory } from "./workload-directory.ts";

export interface HandlerSurroundings {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "scope">;
  readonly exposition: Exposition;
  /** A proxy opens no handlers that only the mixer can ask: no connections, no timers. */
  readonly isProxy?: boolean;
  /** Who runs where, for generators; absent: nobody is known. */
  readonly workloads?: WorkloadDirectory;
}

export interface HandlerFailure {
  readonly handler: string;
  readonly why: string;
}

export class HandlerTable {
  readonly #surroundings: HandlerSurroundings;
  /** The latest of each name. */
  readonly #byName = new Map<string, OpenHandler>();
  readonly #all = new Set<OpenHandler>();
  readonly #opened: Counter;
  readonly #kept: Counter;
  readonly #closed: Counter;
  readonly #openFailures: Counter;
  readonly #closeFailures: Counter;

  constructor(surroundings: HandlerSurroundings, metrics: MetricScope) {
    this.#surroundings = surroundings;
    const count = (name: string, help: string): Counter =>
      metrics.counter(`mesh_policy_handlers_${name}_total`, help);
    this.#opened = count("opened", "Handlers that were opened.");
    this.#kept = count("kept", "Handlers that a publication left as they were.");
    this.#closed = count("closed", "Handlers that were closed.");
    this.#openFailures = count("open_failures", "Handlers that could not be opened.");
    this.#closeFailures = count("close_failures", "Handlers that could not be closed.");
  }

  acquire(resolved: ResolvedHandler): OpenHandler {
    let handler = this.#byName.get(resolved.name);
    const isKept =
      handler !== undefined &&
      handler.signature === resolved.signature &&
      handler.opened.at !== "nowhere";
    if (handler === undefined || !isKept) handler = this.#open(resolved);
    else this.#kept.increment();
    handler.users++;
    return handler;
  }

  release(handler: OpenHandler): void {
    assert(handler.users > 0, "a handler is released as often as it is acquired");
    handler.users--;
    if (handler.users === 0) this.#close(handler);
  }

  /** All of them, whoever uses them. */
  close(): void {
    for (const handler of this.#all) this.#close(handler);
  }

  #open(resolved: ResolvedHandler): OpenHandler {
    const { name, adapter, signature } = resolved;
    const { log } = this.#surroundings;
    const metrics = this.#surroundings.metrics.scope();
    const opened = this.#tryOpen(resolved, metrics);
    if (opened.at === "nowhere") {
      this.#openFailures.increment();
      log.error("handler not opened", { handler: name, why: opened.why });
    } else if (opened.at !== "elsewhere") this.#opened.increment();
    const handler = new OpenHandler({ name, adapter, signature, metrics }, opened);
    this.#byName.set(name, handler);
    this.#all.add(handler);
    return handler;
  }

  #tryOpen({ name, configured }: ResolvedHandler, metrics: MetricScope): Opened {
    const { clock, log, exposition, workloads, isProxy = false } = this.#surroundings;
    if (isProxy && configured.runsAt === "mixer") return { at: "elsewhere" };
    const common = { handler: name, clock, log, metrics, exposition };
    const environment = workloads === undefined ? common : { ...common, workloads };
    try {
      return configured.runsAt === "proxy"
        ? { at: "proxy", handler: configured.open(environment) }
        : { at: "mixer", handler: configured.open(environment) };
    } catch (cause) {
      return { at: "nowhere", runsAt: configured.runsAt, why: whyOf(cause) };
    }
  }

  #close(handler: OpenHandler): void {
    if (!this.#all.delete(handler)) return;
    const { name, opened } = handler;
    if (this.#byName.get(name) === handler) this.#byName.delete(name);
    const why = handler.close();
    if (!("handler" in opened)) return;
    this.#closed.increment();
    if (why === undefined) return;
    this.#closeFailures.increment();
    this.#surroundings.log.warn("handler not closed", { handler: name, why });
  }
}
