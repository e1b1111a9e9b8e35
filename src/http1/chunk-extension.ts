/**
 * Recognises chunk extensions octet by octet (RFC 9112 7.1.1), so that they can be left out:
 *
 *   *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
 *
 * Blanks before a ";" belong to the grammar; blanks that nothing follows do not.
 */
import { Ascii, Octet, octetClass } from "../http/octet.ts";

const At = {
  beforeSemicolon: 0,
  beforeName: 1,
  name: 2,
  afterName: 3,
  beforeValue: 4,
  token: 5,
  quoted: 6,
  escape: 7,
  afterValue: 8,
} as const;
type At = (typeof At)[keyof typeof At];

export class ExtensionScanner {
  #at: At = At.beforeSemicolon;

  reset(): void {
    this.#at = At.beforeSemicolon;
  }

  /** Whether the line may end here. */
  get isComplete(): boolean {
    return this.#at === At.name || this.#at === At.token || this.#at === At.afterValue;
  }

  /** False where the octet cannot stand here; then nothing changes. */
  push(octet: number): boolean {
    const next = this.#next(octet);
    if (next === undefined) return false;
    this.#at = next;
    return true;
  }

  #next(octet: number): At | undefined {
    const blank = octet === Ascii.space || octet === Ascii.tab;
    const token = (octetClass[octet]! & Octet.token) !== 0;
    switch (this.#at) {
      case At.beforeSemicolon:
        if (blank) return At.beforeSemicolon;
        return octet === Ascii.semicolon ? At.beforeName : undefined;
      case At.beforeName:
        if (blank) return At.beforeName;
        return token ? At.name : undefined;
      case At.name:
        if (token) return At.name;
        return afterName(octet, blank);
      case At.afterName:
        return afterName(octet, blank);
      case At.beforeValue:
        if (blank) return At.beforeValue;
        if (octet === Ascii.quote) return At.quoted;
        return token ? At.token : undefined;
      case At.token:
        if (token) return At.token;
        return afterValue(octet, blank);
      case At.quoted:
        if (octet === Ascii.quote) return At.afterValue;
        if (octet === Ascii.backslash) return At.escape;
        return (octetClass[octet]! & Octet.quoted) !== 0 ? At.quoted : undefined;
      case At.escape:
        return (octetClass[octet]! & Octet.value) !== 0 ? At.quoted : undefined;
      case At.afterValue:
        return afterValue(octet, blank);
      default:
        return this.#at satisfies never;
    }
  }
}

function afterName(octet: number, blank: boolean): At | undefined {
  if (blank) return At.afterName;
  if (octet === Ascii.equals) return At.beforeValue;
  return octet === Ascii.semicolon ? At.beforeName : undefined;
}

/** A blank may only lead to the next extension. */
function afterValue(octet: number, blank: boolean): At | undefined {
  if (blank) return At.beforeSemicolon;
  return octet === Ascii.semicolon ? At.beforeName : undefined;
}
