/**
 * Where the mixer sits beside the request's path: the only part of policy that may have to wait.
 *
 *   Verdict.needsMixer ─▶ MixerClient.check ─┬─ known ─▶ MixerAnswer, at once
 *                                            └─ asked ─▶ MixerCall … ─▶ asker, once
 *
 * A client answers each call once, or not at all once it was cancelled: whoever asked waits no
 * longer than its own limit, and then goes by the fail policy of the rules.
 */
import type { AttributeBag } from "../../attribute/bag.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import type { StatusCode } from "../../policy/status-code.ts";
import type { DirectReply, HeaderChange, PolicyEngine, PolicyScope } from "../../policy/verdict.ts";

/** What the mixer says of an exchange: its part of a Verdict. */
export interface MixerAnswer {
  readonly at: "answered";
  readonly code: StatusCode;
  readonly message: string;
  /** The full name of the rule that denied, where the mixer tells; else empty. */
  readonly rule: string;
  /** Its headers are among `responseHeaders`. */
  readonly direct: DirectReply | undefined;
  readonly requestHeaders: readonly HeaderChange[];
  readonly responseHeaders: readonly HeaderChange[];
  /** Milliseconds after which a quota may grant again; 0: unknown or no quota. */
  readonly retryAfterMs: number;
}

/** A question that is under way. */
export interface MixerCall {
  readonly at: "asked";
  /** Only of quotas it is asked. */
  readonly isCheckKnown: boolean;
  /** The asker is told nothing any more. Twice is once; after the answer it is nothing. */
  cancel(): void;
}

/** Who waits. Told in a later turn than it asked, and once. */
export interface MixerAsker {
  mixerAnswered(answer: MixerAnswer): void;
  /** Nobody answered, or not in a way that can be understood; in words, for the log. */
  mixerFailed(reason: string): void;
}

/** Of a quota that only the mixer can answer for (QuotaAnswer.needsMixer). */
export interface MixerQuota {
  /** The short name of an instance. */
  readonly quota: string;
  readonly amount: number;
}

export interface MixerClient {
  /** What questions are about from now on; cached answers of an engine before it are void. */
  follow(engine: PolicyEngine, vocabulary: Vocabulary): void;
  /**
   * The bag is read before it returns, and not kept. RESOURCE_EXHAUSTED where it may not take all
   * of `quotas`.
   */
  check(
    bag: AttributeBag,
    scope: PolicyScope,
    asker: MixerAsker,
    quotas?: readonly MixerQuota[],
  ): MixerAnswer | MixerCall;
  /** The same; what does not fit into the next batch is dropped, and counted by the client. */
  report(bag: AttributeBag, scope: PolicyScope): void;
  /** What is batched is sent as far as it can be; askers are told nothing any more. */
  close(): void;
}
