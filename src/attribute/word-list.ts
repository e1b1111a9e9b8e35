/**
 * Words and their numbers on the wire: zero and up in the global list, below zero in the list that
 * a message carries. A writer collects the latter while it encodes.
 */
import { globalWords } from "./global-dictionary.ts";

/** What a decoder knows. */
export interface WordLists {
  /** Of the message, or of the report around it. */
  readonly words: readonly string[];
  readonly global: readonly string[];
}

/** Undefined: the number stands for nothing. */
export function wordAt({ words, global }: WordLists, index: number): string | undefined {
  return index >= 0 ? global[index] : words[-index - 1];
}

const globalIndex: ReadonlyMap<string, number> = new Map(globalWords.map((word, i) => [word, i]));

export class WordWriter {
  /** In order of first use; what `words` or `default_words` of the message is to be. */
  readonly words: string[] = [];
  readonly #own = new Map<string, number>();
  readonly #globalCount: number;

  /** `globalCount`: how many words of the global list the reader knows. */
  constructor(globalCount = globalWords.length) {
    this.#globalCount = globalCount;
  }

  indexOf(word: string): number {
    const known = globalIndex.get(word);
    if (known !== undefined && known < this.#globalCount) return known;
    const own = this.#own.get(word);
    if (own !== undefined) return own;
    this.words.push(word);
    const index = -this.words.length;
    this.#own.set(word, index);
    return index;
  }
}
