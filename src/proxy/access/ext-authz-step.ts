/**
 * CUSTOM: somebody else is asked whether a request may pass, within a limit.
 *
 *   asked ─┬─ yes ────────▶ passes, with what it says of fields
 *          ├─ no ─────────▶ its denial
 *          └─ no answer ──▶ passes where the provider fails open, else is refused
 */
import type { ExternalAuthorizer } from "../../api/gen/mesh/v1/access_pb.ts";
import type { Clock } from "../../core/clock.ts";
import { type Failure, Failures } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import type { Histogram } from "../../telemetry/histogram.ts";
import type { Counter, Metrics } from "../../telemetry/metrics.ts";
import type {
  AccessAsker,
  AccessPass,
  AccessRefusal,
  AccessRequest,
  AccessStep,
  AccessWaiting,
} from "./access-step.ts";
import {
  type AuthorizerAnswer,
  type AuthorizerClient,
  type AuthorizerDenial,
  isModest,
} from "./authorizer.ts";

export interface StepParts {
  readonly client: AuthorizerClient;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The exchange waits a little longer than its question does. */
const GRACE_MS = 250;
const LOG_PAUSE_MS = 10_000;

const passed: AccessPass = Object.freeze({ at: "passed" });

export class ExternalAuthorizerStep implements AccessStep {
  readonly bodyBytesMax: number;
  readonly refusesLarger: boolean;
  readonly timeoutMs: number;
  readonly late: AccessPass | AccessRefusal;
  readonly #rule: ExternalAuthorizer;
  readonly #parts: StepParts;
  readonly #allowed: Counter;
  readonly #denied: Counter;
  readonly #failed: Counter;
  readonly #duration: Histogram;
  #logPauseEndsMs = Number.NEGATIVE_INFINITY;

  constructor(rule: ExternalAuthorizer, parts: StepParts) {
    this.#rule = rule;
    this.#parts = parts;
    this.bodyBytesMax = rule.body?.maxBytes ?? 0;
    this.refusesLarger = rule.body?.allowPartial === false;
    this.timeoutMs = parts.timeoutMs + GRACE_MS;
    this.late = rule.failOpen ? passed : this.#unanswered("no answer in time");
    const { metrics } = parts;
    const help = "Questions to external authorizers, by what they answered.";
    const of = (result: string): Counter =>
      metrics.counter("mesh_ext_authz_total", help, { authorizer: rule.name, result });
    this.#allowed = of("allowed");
    this.#denied = of("denied");
    this.#failed = of("failed");
    const name = "mesh_ext_authz_duration_milliseconds";
    this.#duration = metrics.histogram(name, "From question to answer.", { authorizer: rule.name });
  }

  ask(request: AccessRequest, asker: AccessAsker): AccessRefusal | AccessWaiting {
    if (this.refusesLarger && request.bodyIsPartial) return this.#tooLarge();
    const { client, clock } = this.#parts;
    const startMs = clock.nowMs();
    const cancel = client.ask(request, (answer) => {
      this.#duration.observe(clock.nowMs() - startMs);
      asker.answered(this.#take(bounded(answer)));
    });
    return { at: "waiting", cancel };
  }

  #take(answer: AuthorizerAnswer): AccessPass | AccessRefusal {
    switch (answer.at) {
      case "passed":
        this.#allowed.increment();
        return answer;
      case "denied":
        this.#denied.increment();
        return this.#refusalOf(answer);
      case "failed":
        this.#failed.increment();
        this.#complain(answer.why);
        return this.#rule.failOpen ? passed : this.#unanswered(answer.why);
      default:
        return answer satisfies never;
    }
  }

  #refusalOf({ status, body, lines }: AuthorizerDenial): AccessRefusal {
    const refusal = this.#refusal(Failures.authorizerDenied, `it answered ${status}`);
    return { ...refusal, status, body, lines };
  }

  #unanswered(why: string): AccessRefusal {
    const { statusOnError } = this.#rule;
    return { ...this.#refusal(Failures.authorizerUnanswered, why), status: statusOnError };
  }

  #tooLarge(): AccessRefusal {
    return this.#refusal(Failures.contentTooLarge, "the content is longer than may be shown");
  }

  #refusal(failure: Failure, reason: string): AccessRefusal {
    const object = `ExternalAuthorizer/${this.#rule.name}`;
    const by = { object, rule: "", place: "", reason };
    return { at: "refused", failure, status: 0, body: "", lines: "", contentType: "", by };
  }

  /** Whoever is away is away for every request. */
  #complain(why: string): void {
    const { clock, log } = this.#parts;
    const nowMs = clock.nowMs();
    if (nowMs < this.#logPauseEndsMs) return;
    this.#logPauseEndsMs = nowMs + LOG_PAUSE_MS;
    const { name, failOpen } = this.#rule;
    log.warn("an external authorizer does not answer", { authorizer: name, why, failOpen });
  }
}

/** A yes that asks for more fields than a message has is none: what it means cannot be done. */
function bounded(answer: AuthorizerAnswer): AuthorizerAnswer {
  if (answer.at !== "passed") return answer;
  const { requestHeaders = [], responseHeaders = [] } = answer;
  if (isModest(requestHeaders) && isModest(responseHeaders)) return answer;
  return { at: "failed", why: "the answer has too many fields, or too long ones" };
}
