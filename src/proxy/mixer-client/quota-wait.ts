/** One request that takes of several quotas, some of which have to be fetched first. */
import type { MixerAnswer, MixerAsker, MixerCall, MixerQuota } from "../policy/mixer-seat.ts";
import type { Taken } from "./quota-prefetch.ts";

export class QuotaWait {
  readonly #asker: MixerAsker;
  readonly #answer: MixerAnswer;
  readonly #exhausted: (quotas: readonly MixerQuota[]) => MixerAnswer;
  readonly #refused: MixerQuota[] = [];
  #waiting = 0;
  #isUnknown = false;
  #isOver = false;

  /** `answer`: what it is told where all is granted. */
  constructor(
    asker: MixerAsker,
    answer: MixerAnswer,
    exhausted: (quotas: readonly MixerQuota[]) => MixerAnswer,
  ) {
    this.#asker = asker;
    this.#answer = answer;
    this.#exhausted = exhausted;
  }

  taken(need: MixerQuota, taken: Taken): void {
    if (taken === "denied") this.#refused.push(need);
    if (taken === "waits") this.#waiting++;
  }

  /** After all were taken: the answer, or a call that is under way. */
  outcome(): MixerAnswer | MixerCall {
    if (this.#waiting === 0) return this.#verdict;
    return {
      at: "asked",
      cancel: () => {
        this.#isOver = true;
      },
    };
  }

  /** Of one that waited; undefined: the mixer could not be asked. */
  told(need: MixerQuota, granted: boolean | undefined): void {
    this.#waiting--;
    if (granted === undefined) this.#isUnknown = true;
    else if (!granted) this.#refused.push(need);
    if (this.#waiting > 0 || this.#isOver) return;
    this.#isOver = true;
    if (this.#refused.length === 0 && this.#isUnknown)
      this.#asker.mixerFailed("the mixer could not be asked for a quota");
    else this.#asker.mixerAnswered(this.#verdict);
  }

  get #verdict(): MixerAnswer {
    return this.#refused.length === 0 ? this.#answer : this.#exhausted(this.#refused);
  }
}
