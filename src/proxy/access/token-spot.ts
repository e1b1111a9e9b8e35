/**
 * Where in a request a token may stand: a field behind a prefix, a parameter of the query, a
 * cookie. One object for each place, pointed by `find` at what the scanned head has there, so that
 * looking costs no memory. A place with two of them has none that could be believed.
 */
import { FieldId, fieldIdOf } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import { textOf } from "../policy/head-text.ts";

export const Found = { nothing: 0, one: 1, several: 2 } as const;
export type Found = (typeof Found)[keyof typeof Found];

export abstract class TokenSpot {
  /** For people: "header authorization". */
  readonly name: string;
  /** What was found lies at [start, end) of the head's bytes. */
  start = 0;
  end = 0;

  constructor(name: string) {
    this.name = name;
  }

  abstract find(head: MessageHead): Found;
  /** It is in what logs have of a request. */
  readonly isLogged: boolean = false;
  /** What takes the token out of `head`, in which it was found. */
  abstract removal(head: MessageHead): HeaderChange;

  /** The same, where it does not depend on the head. */
  readonly fixedRemoval: HeaderChange | undefined = undefined;

  protected found(start: number, end: number, before: Found): Found {
    this.start = start;
    this.end = end;
    return before === Found.nothing ? Found.one : Found.several;
  }
}

/** "authorization: Bearer …": schemes are compared without regard to case (RFC 9110 11.1). */
export class HeaderSpot extends TokenSpot {
  readonly #field: Uint8Array;
  readonly #id: FieldId;
  readonly #prefix: Uint8Array;
  override readonly fixedRemoval: HeaderChange;

  constructor(field: string, prefix: string) {
    super(`header ${field.toLowerCase()}`);
    const name = field.toLowerCase();
    this.#field = new TextEncoder().encode(name);
    this.#id = fieldIdOf(this.#field, 0, this.#field.length);
    this.#prefix = new TextEncoder().encode(prefix.toLowerCase().trimStart());
    this.fixedRemoval = Object.freeze({ name, value: "", operation: "remove" });
  }

  /** Beside a token no other field of that name may stand: readers differ in which counts. */
  override find(head: MessageHead): Found {
    let state: Found = Found.nothing;
    let fields = 0;
    for (let i = this.#next(head, 0); i !== -1; i = this.#next(head, i + 1)) {
      fields++;
      const start = this.#tokenStart(head, head.valueStart[i]!, head.valueEnd[i]!);
      if (start !== -1) state = this.found(start, head.valueEnd[i]!, state);
    }
    return state === Found.one && fields > 1 ? Found.several : state;
  }

  override removal(): HeaderChange {
    return this.fixedRemoval;
  }

  #next(head: MessageHead, from: number): number {
    if (this.#id === FieldId.other) return head.find(this.#field, from);
    return from === 0 ? head.firstOf[this.#id]! : head.nextOf(this.#id, from - 1);
  }

  /** −1: the field begins otherwise. */
  #tokenStart({ bytes }: MessageHead, from: number, to: number): number {
    const prefix = this.#prefix;
    if (to - from < prefix.length) return bareScheme(bytes, from, to, prefix) ? to : -1;
    for (let i = 0; i < prefix.length; i++) {
      const octet = bytes[from + i]!;
      if ((octet >= 65 && octet <= 90 ? octet | 32 : octet) !== prefix[i]) return -1;
    }
    let start = from + prefix.length;
    while (start < to && bytes[start] === 0x20) start++;
    return start;
  }
}

/** "Bearer" alone, whose space was no part of the value. */
function bareScheme(bytes: Uint8Array, from: number, to: number, prefix: Uint8Array): boolean {
  if (prefix[prefix.length - 1] !== 0x20 || to - from !== prefix.length - 1) return false;
  for (let i = 0; i < to - from; i++) {
    const octet = bytes[from + i]!;
    if ((octet >= 65 && octet <= 90 ? octet | 32 : octet) !== prefix[i]) return false;
  }
  return true;
}

const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
const PERCENT = 0x25;

/**
 * "?access_token=…". A token has nothing that would have to be escaped, and is none where it is;
 * its name may be escaped by whoever hopes that only the application reads it so.
 */
export class ParameterSpot extends TokenSpot {
  override readonly isLogged = true;
  readonly #name: Uint8Array;

  constructor(name: string) {
    super(`parameter ${name}`);
    this.#name = new TextEncoder().encode(name);
  }

  override find(head: MessageHead): Found {
    const { bytes, queryStart, queryEnd } = head;
    let state: Found = Found.nothing;
    for (let at = queryStart; at !== -1 && at < queryEnd; ) {
      const end = endOf(bytes, at, queryEnd, AMPERSAND);
      const value = parameterStart(bytes, at, end, this.#name);
      if (value !== -1) state = this.found(value, end, state);
      at = end + 1;
    }
    return state;
  }

  override removal(head: MessageHead): HeaderChange {
    const { bytes, pathStart, pathEnd, queryStart, queryEnd } = head;
    const kept: string[] = [];
    for (let at = queryStart; at < queryEnd; ) {
      const end = endOf(bytes, at, queryEnd, AMPERSAND);
      if (parameterStart(bytes, at, end, this.#name) === -1) kept.push(textOf(bytes, at, end));
      at = end + 1;
    }
    const path = pathStart === pathEnd ? "/" : textOf(bytes, pathStart, pathEnd);
    const value = kept.length === 0 ? path : `${path}?${kept.join("&")}`;
    return { name: ":path", value, operation: "replace" };
  }
}

/** "cookie: session=…" (RFC 6265 4.2), over all fields of that name. */
export class CookieSpot extends TokenSpot {
  readonly #name: Uint8Array;

  constructor(name: string) {
    super(`cookie ${name}`);
    this.#name = new TextEncoder().encode(name);
  }

  override find(head: MessageHead): Found {
    const { bytes } = head;
    let state: Found = Found.nothing;
    const id = FieldId.cookie;
    for (let i = head.firstOf[id]!; i !== -1; i = head.nextOf(id, i)) {
      const stop = head.valueEnd[i]!;
      for (let at = head.valueStart[i]!; at < stop; ) {
        const end = endOf(bytes, at, stop, SEMICOLON);
        state = this.#look(bytes, at, end, state);
        at = end + 1;
      }
    }
    return state;
  }

  override removal(head: MessageHead): HeaderChange {
    const { bytes } = head;
    const kept: string[] = [];
    const id = FieldId.cookie;
    for (let i = head.firstOf[id]!; i !== -1; i = head.nextOf(id, i)) {
      const stop = head.valueEnd[i]!;
      for (let at = head.valueStart[i]!; at < stop; ) {
        const end = endOf(bytes, at, stop, SEMICOLON);
        const from = past(bytes, at, end, 0x20);
        if (from < end && valueStart(bytes, from, end, this.#name) === -1)
          kept.push(textOf(bytes, from, end).trimEnd());
        at = end + 1;
      }
    }
    if (kept.length === 0) return { name: "cookie", value: "", operation: "remove" };
    return { name: "cookie", value: kept.join("; "), operation: "replace" };
  }

  #look(bytes: Uint8Array, from: number, to: number, before: Found): Found {
    let start = valueStart(bytes, past(bytes, from, to, 0x20), to, this.#name);
    if (start === -1) return before;
    let end = to;
    while (end > start && bytes[end - 1] === 0x20) end--;
    const isQuoted = end - start >= 2 && bytes[start] === 0x22 && bytes[end - 1] === 0x22;
    if (isQuoted) {
      start++;
      end--;
    }
    return this.found(start, end, before);
  }
}

/** Of the next `octet`, or `to`. */
function endOf(bytes: Uint8Array, from: number, to: number, octet: number): number {
  let at = from;
  while (at < to && bytes[at] !== octet) at++;
  return at;
}

function past(bytes: Uint8Array, from: number, to: number, octet: number): number {
  let at = from;
  while (at < to && bytes[at] === octet) at++;
  return at;
}

/** Behind "name="; −1: [from, to) is another pair. */
function valueStart(bytes: Uint8Array, from: number, to: number, name: Uint8Array): number {
  if (to - from <= name.length || bytes[from + name.length] !== 0x3d) return -1;
  for (let i = 0; i < name.length; i++) if (bytes[from + i] !== name[i]) return -1;
  return from + name.length + 1;
}

/** As valueStart, with a name that may be written with escapes. */
function parameterStart(bytes: Uint8Array, from: number, to: number, name: Uint8Array): number {
  const plain = valueStart(bytes, from, to, name);
  if (plain !== -1) return plain;
  let at = from;
  for (let i = 0; i < name.length; i++) {
    if (at >= to) return -1;
    const isEscape = bytes[at] === PERCENT && at + 2 < to;
    if ((isEscape ? escaped(bytes, at) : bytes[at]) !== name[i]) return -1;
    at += isEscape ? 3 : 1;
  }
  return at < to && bytes[at] === 0x3d ? at + 1 : -1;
}

/** −1: it is no escape. */
function escaped(bytes: Uint8Array, at: number): number {
  const [high, low] = [digit(bytes[at + 1]!), digit(bytes[at + 2]!)];
  return high === -1 || low === -1 ? -1 : 16 * high + low;
}

function digit(octet: number): number {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const lower = octet | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
