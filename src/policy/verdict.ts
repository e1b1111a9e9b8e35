/**
 * What policy says about one exchange, and the questions that it is asked.
 *
 *   PolicyRuntime ──publish(policy)──▶ opens, keeps and closes handlers
 *        │ current
 *        ▼
 *   PolicyEngine ──scopeOf(namespace)──▶ PolicyScope ──check · allocate · report──▶ Verdict
 *
 * A scope is prepared once for a namespace; a proxy asks it in place, a mixer by promises.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import type { FailPolicy } from "../model/handler.ts";
import type { StatusCode } from "./status-code.ts";

export interface HeaderChange {
  readonly name: string;
  readonly value: string;
  readonly operation: "replace" | "remove" | "append";
}

/** An answer in place of the upstream's; its headers are among `responseHeaders`. */
export interface DirectReply {
  /** HTTP. */
  readonly code: number;
  readonly body: string;
}

/** The answer to one Check; read before the next question is asked, and not kept. */
export interface Verdict {
  readonly code: StatusCode;
  /** `handler:message` of each that failed, joined with ", ". */
  readonly message: string;
  /** The full name of the rule that denied first; empty if none did. */
  readonly rule: string;
  /** How long and how often it may be used again; 0: not. */
  readonly validDurationMs: number;
  readonly validUseCount: number;
  readonly direct: DirectReply | undefined;
  readonly requestHeaders: readonly HeaderChange[];
  readonly responseHeaders: readonly HeaderChange[];
  /** Milliseconds after which a quota may grant again; 0: unknown or no quota. */
  readonly retryAfterMs: number;
  /** A rule that matched has actions that only the mixer can answer. */
  readonly needsMixer: boolean;
  /** The fail policy of those rules: "closed" if any says so. */
  readonly mixerFailPolicy: FailPolicy;
}

export interface QuotaQuestion {
  /** The short name of an instance, in any case. */
  readonly quota: string;
  readonly amount: number;
  readonly bestEffort: boolean;
  /** Of the request; the quota's name is added. */
  readonly dedupId: string;
}

/** Read before the next question is asked, and not kept. */
export interface QuotaAnswer {
  readonly granted: number;
  readonly validDurationMs: number;
  readonly code: StatusCode;
  readonly message: string;
  /** Of a refusal: milliseconds after which there may be enough again; 0: unknown. */
  readonly retryAfterMs: number;
  /** Both empty where no rule answered: the quota is unknown, or no condition holds. */
  readonly rule: string;
  readonly handler: string;
  /** Only the mixer can answer; what stands here otherwise is what `mixerFailPolicy` gives. */
  readonly needsMixer: boolean;
  readonly mixerFailPolicy: FailPolicy;
}

/** Rules of one namespace: those for all namespaces, then its own. */
export interface PolicyScope {
  /** `check` would say yes and no more: no rule checks, charges or changes headers. */
  readonly checksNothing: boolean;
  /** `report` would do nothing. */
  readonly reportsNothing: boolean;
  /** Some rule reports to handlers that only the mixer can tell. */
  readonly reportsToMixer: boolean;
  /** Slots that any of its rules may read. */
  readonly reads: ReadonlySet<number>;
  /** In place: what the mixer answers is left to it (`needsMixer`). Charges are taken. */
  check(bag: AttributeBag, nowMs: number): Verdict;
  allocate(bag: AttributeBag, question: QuotaQuestion, nowMs: number): QuotaAnswer;
  /**
   * Instances are made now, and handed on now to handlers that only remember them. True: a rule
   * that matched has handlers that only the mixer can tell.
   */
  report(bag: AttributeBag): boolean;
  /** All handlers, wherever they run; `onlyRemote`: those that a proxy of ours cannot ask. */
  checkAll(bag: AttributeBag, options: AskOptions): Promise<Verdict>;
  allocateAll(
    bag: AttributeBag,
    question: QuotaQuestion,
    options: AskOptions,
  ): Promise<QuotaAnswer>;
  /** Several exchanges at once: one call for each handler and template. What went wrong. */
  reportAll(bags: readonly AttributeBag[], options: AskOptions): Promise<readonly string[]>;
}

export interface AskOptions {
  readonly nowMs: number;
  readonly onlyRemote: boolean;
  /** Of the request, for what it is charged; absent: each time anew. */
  readonly dedupId?: string;
}

export interface PolicyEngine {
  /** Counts publications: cached answers of another one are void. */
  readonly generation: number;
  /**
   * For whoever asks again later, as an exchange does that is checked first and reported at its
   * end: until `release` the handlers stay open, whatever is published. A question that is answered
   * by a promise holds the engine by itself.
   */
  acquire(): void;
  release(): void;
  scopeOf(namespace: string): PolicyScope;
  /** By `context.reporter.kind` and the namespaces of source and destination (mixer 3.2). */
  scopeFor(bag: AttributeBag): PolicyScope;
}
