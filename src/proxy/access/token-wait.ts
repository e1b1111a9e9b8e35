/** A request whose token waits for keys: looked at once more after each fetch. */
import type { AccessAsker, AccessPass, AccessRefusal, AccessWaiting } from "./access-step.ts";
import type { KeySource } from "./jwt-rule.ts";

export type TokenAnswer = AccessPass | AccessRefusal | { readonly waitsFor: KeySource };

export class TokenWait implements AccessWaiting {
  readonly at = "waiting";
  readonly #asker: AccessAsker;
  readonly #answer: () => TokenAnswer;
  /** Where no more may wait. */
  readonly #late: AccessRefusal;
  #cancel: (() => void) | undefined;

  constructor(asker: AccessAsker, answer: () => TokenAnswer, late: AccessRefusal) {
    this.#asker = asker;
    this.#answer = answer;
    this.#late = late;
  }

  begin(source: KeySource): AccessWaiting | AccessRefusal {
    return this.#listen(source) ? this : this.#late;
  }

  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #listen(source: KeySource): boolean {
    this.#cancel = source.whenFetched(() => this.#look());
    return this.#cancel !== undefined;
  }

  #look(): void {
    this.#cancel = undefined;
    const answer = this.#answer();
    if ("at" in answer) this.#asker.answered(answer);
    else if (!this.#listen(answer.waitsFor)) this.#asker.answered(this.#late);
  }
}
