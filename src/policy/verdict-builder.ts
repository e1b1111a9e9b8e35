/**
 * One verdict out of many answers. Spec: mixer 1.3.
 *
 * Valid for as long and as often as the least of the answers; the code of the first that failed,
 * the messages of all. An answer that says nothing of its validity is not used again, and neither
 * is one that a fail policy gave; a verdict that nobody had a part in is good for a minute.
 */
import type { Fault } from "../attribute/fault.ts";
import type { FailPolicy } from "../model/handler.ts";
import type { Ask, CompiledRule } from "./compiled-rule.ts";
import { directReply, replyHeaders } from "./direct-reply.ts";
import type { CheckResult, DirectResponse } from "./result.ts";
import type { FaultClass, RuleStatistics } from "./rule-statistics.ts";
import { StatusCode } from "./status-code.ts";
import type { DirectReply, HeaderChange, Verdict } from "./verdict.ts";

export const unansweredValidity = { durationMs: 60_000, useCount: 10_000 };
const MESSAGE_MAX = 4_096;

export interface FaultFacts {
  readonly of: FaultClass;
  /** Who failed: a handler, an instance, or the rule itself. */
  readonly who: string;
  readonly why: string;
  readonly code: StatusCode;
  readonly failPolicy: FailPolicy;
}

export class VerdictBuilder implements Verdict {
  readonly #statistics: RuleStatistics;
  code: StatusCode = StatusCode.ok;
  message = "";
  rule = "";
  validDurationMs = 0;
  validUseCount = 0;
  direct: DirectReply | undefined;
  readonly requestHeaders: HeaderChange[] = [];
  readonly responseHeaders: HeaderChange[] = [];
  retryAfterMs = 0;
  needsMixer = false;
  mixerFailPolicy: FailPolicy = "open";
  #directResponse: DirectResponse | undefined;
  #isAnswered = false;
  #deniedRow = -1;

  constructor(statistics: RuleStatistics) {
    this.#statistics = statistics;
  }

  begin(): this {
    this.code = StatusCode.ok;
    this.message = "";
    this.rule = "";
    this.validDurationMs = Number.POSITIVE_INFINITY;
    this.validUseCount = Number.POSITIVE_INFINITY;
    this.direct = undefined;
    this.#dropHeaders();
    this.retryAfterMs = 0;
    this.needsMixer = false;
    this.mixerFailPolicy = "open";
    this.#directResponse = undefined;
    this.#isAnswered = false;
    this.#deniedRow = -1;
    return this;
  }

  /** What a handler answered to one instance. */
  answer(rule: CompiledRule, { handler, failPolicy }: Ask, result: CheckResult): void {
    const { code, message, isFault } = result;
    if (isFault) {
      this.fault(rule, { of: "handler", who: handler.name, why: message, code, failPolicy });
      return;
    }
    this.#limit(result.validDurationMs, result.validUseCount);
    if (code !== StatusCode.ok) this.#deny(rule, result, `${handler.name}:${message}`);
  }

  /** Nobody can judge. */
  fault(rule: CompiledRule, { of, who, why, code, failPolicy }: FaultFacts): void {
    this.#statistics.fault(rule.row, of, why);
    this.#limit(0, 0);
    if (failPolicy === "open") return;
    const denial = { code: code === StatusCode.ok ? StatusCode.internal : code };
    this.#deny(rule, denial, `${who}:${why}`);
  }

  /** Its condition has no value. */
  unjudged(rule: CompiledRule, fault: Fault): void {
    const { name: who, failPolicy } = rule;
    const why = fault.message;
    this.fault(rule, { of: "match", who, why, code: StatusCode.internal, failPolicy });
  }

  /** A field of an instance has no value. */
  unbuilt(rule: CompiledRule, { instance }: Ask, fault: Fault): void {
    const { failPolicy } = rule;
    const why = fault.message;
    const { name: who } = instance;
    this.fault(rule, { of: "instance", who, why, code: StatusCode.internal, failPolicy });
  }

  leaveToMixer(policy: FailPolicy): void {
    this.needsMixer = true;
    if (policy === "closed") this.mixerFailPolicy = "closed";
  }

  /** Something was taken: the next request has to ask for itself. */
  charged(): void {
    this.#limit(0, 0);
  }

  /** Quotas by name, those that had too little left. */
  exhausted(rule: CompiledRule, names: readonly string[], retryAfterMs: number): void {
    const message = `Quota is exhausted for: ${names.join(",")}`;
    this.#limit(0, 0);
    this.#deny(rule, { code: StatusCode.resourceExhausted }, message);
    this.retryAfterMs = retryAfterMs;
  }

  finish(): this {
    if (!this.#isAnswered) {
      this.validDurationMs = unansweredValidity.durationMs;
      this.validUseCount = unansweredValidity.useCount;
    }
    if (this.code === StatusCode.ok) return this;
    this.#dropHeaders();
    if (this.#directResponse === undefined) return this;
    this.direct = directReply(this.#directResponse, this.code);
    this.responseHeaders.push(...replyHeaders(this.#directResponse));
    return this;
  }

  /** Setting a length is slower than reading it. */
  #dropHeaders(): void {
    if (this.requestHeaders.length > 0) this.requestHeaders.length = 0;
    if (this.responseHeaders.length > 0) this.responseHeaders.length = 0;
  }

  #limit(durationMs: number, useCount: number): void {
    this.#isAnswered = true;
    if (durationMs < this.validDurationMs) this.validDurationMs = durationMs;
    if (useCount < this.validUseCount) this.validUseCount = useCount;
  }

  #deny(
    rule: CompiledRule,
    { code, direct }: Pick<CheckResult, "code" | "direct">,
    message: string,
  ): void {
    if (rule.row !== this.#deniedRow) {
      this.#deniedRow = rule.row;
      this.#statistics.denied[rule.row]!++;
    }
    if (this.code !== StatusCode.ok) {
      if (this.message.length < MESSAGE_MAX) this.message += `, ${message}`;
      return;
    }
    this.code = code;
    this.message = message;
    this.rule = rule.name;
    this.#directResponse = direct;
  }
}
