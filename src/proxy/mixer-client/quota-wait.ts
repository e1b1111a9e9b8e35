/** One request that takes of several quotas, some of which have to be fetched first. */
import type { MixerAnswer, MixerAsker, MixerCall, MixerQuota } from "../policy/mixer-seat.ts";
import type { Taken } from "./quota-prefetch.ts";

/** What it is told where these were refused, all of which may be granted after so long. */
export type Exhausted = (quotas: readonly MixerQuota[], retryAfterMs: number) => MixerAnswer;

export class QuotaWait {
  readonly #asker: MixerAsker;
  readonly #answer: MixerAnswer;
  readonly #exhausted: Exhausted;
  readonly #refused: MixerQuota[] = [];
  #waiting = 0;
  #retryAfterMs = 0;
  #isUnknown = false;
  #isOver = false;

  /** `answer`: what it is told where all is granted. */
  constructor(asker: MixerAsker, answer: MixerAnswer, exhausted: Exhausted) {
    this.#asker = asker;
    this.#answer = answer;
    this.#exhausted = exhausted;
  }

  /** `retryAfterMs`: of a denial. */
  taken(need: MixerQuota, taken: Taken, retryAfterMs = 0): void {
    if (taken === "denied") this.#refuse(need, retryAfterMs);
    if (taken === "waits") this.#waiting++;
  }

  /** After all were taken: the answer, or a call that is under way. */
  outcome(): MixerAnswer | MixerCall {
    if (this.#waiting === 0) return this.#verdict;
    return {
      at: "asked",
      isCheckKnown: true,
      cancel: () => {
        this.#isOver = true;
      },
    };
  }

  /** Of one that waited; undefined: the mixer could not be asked. */
  told(need: MixerQuota, granted: boolean | undefined, retryAfterMs = 0): void {
    this.#waiting--;
    if (granted === undefined) this.#isUnknown = true;
    else if (!granted) this.#refuse(need, retryAfterMs);
    if (this.#waiting > 0 || this.#isOver) return;
    this.#isOver = true;
    if (this.#refused.length === 0 && this.#isUnknown)
      this.#asker.mixerFailed("the mixer could not be asked for a quota");
    else this.#asker.mixerAnswered(this.#verdict);
  }

  #refuse(need: MixerQuota, retryAfterMs: number): void {
    this.#refused.push(need);
    this.#retryAfterMs = Math.max(this.#retryAfterMs, retryAfterMs);
  }

  get #verdict(): MixerAnswer {
    if (this.#refused.length === 0) return this.#answer;
    return this.#exhausted(this.#refused, this.#retryAfterMs);
  }
}
