/**
 * A condition on one text, decided on the bytes as they were received. Only a regular expression
 * makes a string of them.
 */
import { decode, fold, startsWith, startsWithFolded } from "./byte-range.ts";
import type { Pattern } from "./pattern.ts";

export type StringMatcherKind = "exact" | "prefix" | "segment-prefix" | "regex" | "present";

const SLASH = 0x2f;

export class StringMatcher {
  readonly kind: StringMatcherKind;
  /** Folded if the case is ignored; a segment prefix has no "/" at its end. */
  readonly key: Uint8Array;
  readonly ignoresCase: boolean;
  readonly #pattern: Pattern | undefined;

  constructor(kind: StringMatcherKind, key: Uint8Array, ignoresCase: boolean, pattern?: Pattern) {
    this.kind = kind;
    this.ignoresCase = ignoresCase;
    this.key = ignoresCase ? key.map(fold) : key;
    this.#pattern = pattern;
  }

  matches(bytes: Uint8Array, from: number, to: number): boolean {
    switch (this.kind) {
      case "exact":
        return to - from === this.key.length && this.#starts(bytes, from);
      case "prefix":
        return to - from >= this.key.length && this.#starts(bytes, from);
      case "segment-prefix": {
        const end = from + this.key.length;
        return end <= to && this.#starts(bytes, from) && (end === to || bytes[end] === SLASH);
      }
      case "regex":
        return this.#pattern!.matches(decode(bytes, from, to));
      case "present":
        return true;
    }
  }

  #starts(bytes: Uint8Array, from: number): boolean {
    return this.ignoresCase
      ? startsWithFolded(bytes, from, this.key)
      : startsWith(bytes, from, this.key);
  }
}
