/**
 * A handler that was opened, or could not be, and the calls to it.
 *
 * What an adapter throws is a fault of that handler, which its fail policy judges, and never takes
 * down the exchange; a failed assertion is passed on. Promises that are late are faults too.
 */
import { AssertionError } from "../core/assert.ts";
import type { Clock } from "../core/clock.ts";
import type { Counter, MetricScope } from "../telemetry/metrics.ts";
import type { LocalHandler, RemoteHandler } from "./adapter.ts";
import {
  type CheckResult,
  checkFault,
  type GenerateResult,
  type QuotaRequest,
  type QuotaResult,
  quotaFault,
  type ReportResult,
} from "./result.ts";
import { StatusCode } from "./status-code.ts";
import type { AnyInstance } from "./template.ts";

export type Opened =
  | { readonly at: "proxy"; readonly handler: LocalHandler }
  | { readonly at: "mixer"; readonly handler: RemoteHandler }
  /** The mixer opens it, and this is a proxy. */
  | { readonly at: "elsewhere" }
  /** It could not be opened; where it would have run. */
  | { readonly at: "nowhere"; readonly runsAt: "proxy" | "mixer"; readonly why: string };

interface Facts {
  readonly name: string;
  readonly adapter: string;
  readonly signature: string;
  readonly metrics: MetricScope;
}

export class OpenHandler {
  readonly name: string;
  readonly adapter: string;
  readonly signature: string;
  readonly opened: Opened;
  /** Only the mixer can ask it. */
  readonly isRemote: boolean;
  readonly #local: LocalHandler | undefined;
  readonly #remote: RemoteHandler | undefined;
  readonly #why: string;
  readonly #metrics: MetricScope;
  readonly #calls: Counter;
  readonly #faults: Counter;
  /** Engines that have it. */
  users = 0;

  constructor({ name, adapter, signature, metrics }: Facts, opened: Opened) {
    this.name = name;
    this.adapter = adapter;
    this.signature = signature;
    this.opened = opened;
    this.#local = opened.at === "proxy" ? opened.handler : undefined;
    this.#remote = opened.at === "mixer" ? opened.handler : undefined;
    this.#why = opened.at === "nowhere" ? `could not be opened: ${opened.why}` : "";
    const runsAt = opened.at === "nowhere" ? opened.runsAt : opened.at;
    this.isRemote = runsAt !== "proxy";
    this.#metrics = metrics;
    const labels = { handler: name, adapter };
    this.#calls = metrics.counter("mesh_policy_calls_total", "Questions to handlers.", labels);
    const what = "Questions that handlers could not answer, or not in time.";
    this.#faults = metrics.counter("mesh_policy_faults_total", what, labels);
  }

  check(instance: AnyInstance): CheckResult {
    this.#calls.increment();
    let result: CheckResult | undefined;
    try {
      result = this.#local?.check?.(instance);
    } catch (cause) {
      result = checkFault(whyOf(cause));
    }
    result ??= checkFault(this.#cannot("check"), StatusCode.unavailable);
    if (result.isFault) this.#faults.increment();
    return result;
  }

  allocate(instance: AnyInstance, request: QuotaRequest): QuotaResult {
    this.#calls.increment();
    let result: QuotaResult | undefined;
    try {
      result = this.#local?.allocate?.(instance, request);
    } catch (cause) {
      result = quotaFault(StatusCode.internal, whyOf(cause));
    }
    result ??= quotaFault(StatusCode.unavailable, this.#cannot("allocate"));
    if (isQuotaFault(result)) this.#faults.increment();
    return result;
  }

  report(instances: readonly AnyInstance[]): ReportResult {
    this.#calls.increment();
    let result: ReportResult | undefined;
    try {
      result = this.#local?.report?.(instances);
    } catch (cause) {
      result = [whyOf(cause)];
    }
    result ??= [this.#cannot("report")];
    if (result.length > 0) this.#faults.increment();
    return result;
  }

  generate(instance: AnyInstance): GenerateResult {
    this.#calls.increment();
    let result: GenerateResult | undefined;
    try {
      result = this.#local?.generate?.(instance);
    } catch (cause) {
      result = { output: {}, fault: whyOf(cause) };
    }
    result ??= { output: {}, fault: this.#cannot("generate") };
    if (result.fault !== "") this.#faults.increment();
    return result;
  }

  /** Those below answer wherever the handler runs, and are never rejected. */
  async checkLater(instance: AnyInstance, limit: CallLimit): Promise<Timed<CheckResult>> {
    const check = this.#remote?.check?.bind(this.#remote);
    if (check === undefined) return { result: this.check(instance), isLate: false };
    this.#calls.increment();
    const fault = (code: StatusCode, why: string): CheckResult => checkFault(why, code);
    const timed = await within(limit, () => check(instance), fault);
    if (timed.result.isFault) this.#faults.increment();
    return timed;
  }

  async allocateLater(
    instance: AnyInstance,
    request: QuotaRequest,
    limit: CallLimit,
  ): Promise<Timed<QuotaResult>> {
    const allocate = this.#remote?.allocate?.bind(this.#remote);
    if (allocate === undefined) return { result: this.allocate(instance, request), isLate: false };
    this.#calls.increment();
    const timed = await within(limit, () => allocate(instance, request), quotaFault);
    if (isQuotaFault(timed.result)) this.#faults.increment();
    return timed;
  }

  async reportLater(
    instances: readonly AnyInstance[],
    limit: CallLimit,
  ): Promise<Timed<ReportResult>> {
    const report = this.#remote?.report?.bind(this.#remote);
    if (report === undefined) return { result: this.report(instances), isLate: false };
    this.#calls.increment();
    const timed = await within(
      limit,
      () => report(instances),
      (_, why) => [why],
    );
    if (timed.result.length > 0) this.#faults.increment();
    return timed;
  }

  async generateLater(instance: AnyInstance, limit: CallLimit): Promise<Timed<GenerateResult>> {
    const generate = this.#remote?.generate?.bind(this.#remote);
    if (generate === undefined) return { result: this.generate(instance), isLate: false };
    this.#calls.increment();
    const fault = (_: StatusCode, why: string): GenerateResult => ({ output: {}, fault: why });
    const timed = await within(limit, () => generate(instance), fault);
    if (timed.result.fault !== "") this.#faults.increment();
    return timed;
  }

  /** Lets go of what it holds; what goes wrong with that, in words. */
  close(): string | undefined {
    try {
      if ("handler" in this.opened) this.opened.handler.close();
      return undefined;
    } catch (cause) {
      return whyOf(cause);
    } finally {
      this.#metrics.retire();
    }
  }

  #cannot(verb: string): string {
    return this.#why === "" ? `cannot ${verb}` : this.#why;
  }
}

export interface CallLimit {
  readonly clock: Clock;
  readonly timeoutMs: number;
}

export interface Timed<T> {
  readonly result: T;
  readonly isLate: boolean;
}

/** Nothing was granted, and not because there was nothing left. */
export function isQuotaFault({ code, granted }: QuotaResult): boolean {
  return code !== StatusCode.ok && code !== StatusCode.resourceExhausted && granted <= 0;
}

/** After which a refused quota may be asked for again; 0: unknown. */
export function retryAfterMsOf({ retryAfterMs, validDurationMs }: QuotaResult): number {
  return retryAfterMs ?? validDurationMs;
}

/** What was thrown, in words; what is our own mistake goes on. */
export function whyOf(cause: unknown): string {
  if (cause instanceof AssertionError) throw cause;
  return cause instanceof Error ? cause.message : String(cause);
}

function within<T>(
  { clock, timeoutMs }: CallLimit,
  call: () => Promise<T>,
  fault: (code: StatusCode, why: string) => T,
): Promise<Timed<T>> {
  return new Promise((resolve) => {
    const cancel = clock.after(timeoutMs, () => {
      const why = `no answer within ${timeoutMs} ms`;
      resolve({ result: fault(StatusCode.deadlineExceeded, why), isLate: true });
    });
    const settle = (result: T): void => {
      cancel();
      resolve({ result, isLate: false });
    };
    const broken = (cause: unknown): void => settle(fault(StatusCode.internal, whyOf(cause)));
    try {
      call().then(settle, broken);
    } catch (cause) {
      broken(cause);
    }
  });
}
