/**
 * The field Forwarded (RFC 7239 4), strictly: what is not well formed as a whole is not believed in
 * part. One is made per worker; what it found is valid until the next scan.
 *
 *   for=192.0.2.60;proto=http, for="[2001:db8::1]:4711"
 */
import { isIpLiteral } from "./ip-literal.ts";
import { Ascii, Octet, octetClass } from "./octet.ts";

/** Hops of one request; a longer list is refused. */
const ELEMENTS_MAX = 64;
const Parameter = { by: 1, for: 2, host: 4, proto: 8 } as const;

export class ForwardedList {
  /** Elements of all fields that were added, in order. */
  count = 0;
  readonly start: Int32Array = new Int32Array(ELEMENTS_MAX);
  readonly end: Int32Array = new Int32Array(ELEMENTS_MAX);
  /** The address in "for", without brackets and port; -1: there is none, or it is no address. */
  readonly forStart: Int32Array = new Int32Array(ELEMENTS_MAX);
  readonly forEnd: Int32Array = new Int32Array(ELEMENTS_MAX);
  #seen = 0;

  clear(): void {
    this.count = 0;
  }

  /** One field's value, without white space around it. False: it is not well formed. */
  add(bytes: Uint8Array, from: number, to: number): boolean {
    let at = from;
    for (;;) {
      if (this.count === ELEMENTS_MAX) return false;
      this.start[this.count] = at;
      this.forStart[this.count] = -1;
      this.#seen = 0;
      at = this.#element(bytes, at, to);
      if (at < 0) return false;
      this.end[this.count++] = at;
      at = skipBlanks(bytes, at, to);
      if (at === to) return true;
      if (bytes[at] !== Ascii.comma) return false;
      at = skipBlanks(bytes, at + 1, to);
    }
  }

  /** Pairs behind each other, ";" between them and no blanks. Returns where it ends, or -1. */
  #element(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    for (;;) {
      const name = at;
      while (at < to && (octetClass[bytes[at]!]! & Octet.token) !== 0) at++;
      if (at === name || bytes[at] !== Ascii.equals || at >= to) return -1;
      const parameter = parameterOf(bytes, name, at);
      if ((this.#seen & parameter) !== 0) return -1;
      this.#seen |= parameter;
      const value = at + 1;
      at = valueEnd(bytes, value, to);
      if (at < 0) return -1;
      if (parameter === Parameter.for && !this.#node(bytes, value, at)) return -1;
      if (at === to || bytes[at] !== Ascii.semicolon) return at;
      at++;
    }
  }

  /** RFC 7239 6: an address, "unknown" or "_hidden", with or without a port. */
  #node(bytes: Uint8Array, from: number, to: number): boolean {
    const quoted = bytes[from] === Ascii.quote;
    const start = quoted ? from + 1 : from;
    const end = quoted ? to - 1 : to;
    if (bytes[start] === Ascii.bracketOpen) {
      let close = start + 1;
      while (close < end && bytes[close] !== Ascii.bracketClose) close++;
      if (close === end || !isIpLiteral(bytes, start + 1, close)) return false;
      return this.#address(start + 1, close) && isPort(bytes, close + 1, end);
    }
    let colon = start;
    while (colon < end && bytes[colon] !== Ascii.colon) colon++;
    if (colon === start || !isPort(bytes, colon, end)) return false;
    if (bytes[start]! - Ascii.zero > 9 || bytes[start]! < Ascii.zero)
      return isHidden(bytes, start, colon);
    return isIpLiteral(bytes, start, colon) && this.#address(start, colon);
  }

  #address(from: number, to: number): true {
    this.forStart[this.count] = from;
    this.forEnd[this.count] = to;
    return true;
  }
}

function skipBlanks(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && (bytes[at] === Ascii.space || bytes[at] === Ascii.tab)) at++;
  return at;
}

/** Past a token or a quoted-string; -1: neither. An escape would hide what a value says. */
function valueEnd(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  if (bytes[at] !== Ascii.quote || at >= to) {
    while (at < to && (octetClass[bytes[at]!]! & Octet.token) !== 0) at++;
    return at === from ? -1 : at;
  }
  at++;
  while (at < to && (octetClass[bytes[at]!]! & Octet.quoted) !== 0) at++;
  return at < to && bytes[at] === Ascii.quote ? at + 1 : -1;
}

const words = ["by", "for", "host", "proto"].map((word) => new TextEncoder().encode(word));

/** 0: an extension. */
function parameterOf(bytes: Uint8Array, from: number, to: number): number {
  for (let i = 0; i < words.length; i++) if (isWord(bytes, from, to, words[i]!)) return 1 << i;
  return 0;
}

function isWord(bytes: Uint8Array, from: number, to: number, word: Uint8Array): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i++) if ((bytes[from + i]! | 32) !== word[i]) return false;
  return true;
}

/** Nothing, or ":" with 1 to 5 digits or a hidden one. */
function isPort(bytes: Uint8Array, from: number, to: number): boolean {
  if (from === to) return true;
  if (bytes[from] !== Ascii.colon || from + 1 === to) return false;
  if (bytes[from + 1] === 0x5f) return isHidden(bytes, from + 1, to);
  if (to - from > 6) return false;
  for (let at = from + 1; at < to; at++)
    if ((octetClass[bytes[at]!]! & Octet.digit) === 0) return false;
  return true;
}

const unknown = new TextEncoder().encode("unknown");

/** "unknown", or "_" and letters, digits, ".", "_", "-". */
function isHidden(bytes: Uint8Array, from: number, to: number): boolean {
  if (isWord(bytes, from, to, unknown)) return true;
  if (bytes[from] !== 0x5f || to - from < 2) return false;
  for (let at = from; at < to; at++) {
    const octet = bytes[at]!;
    const letter = (octet | 32) >= 97 && (octet | 32) <= 122;
    const digit = octet >= 48 && octet <= 57;
    if (!letter && !digit && octet !== 0x2e && octet !== 0x5f && octet !== 0x2d) return false;
  }
  return true;
}
