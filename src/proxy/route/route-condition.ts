/**
 * All conditions of one route on a request head, decided on its bytes.
 *
 * A field that is there more than once holds if one of its values does, or all of them joined by
 * commas. A query parameter is compared as it came, not decoded; the first of a name counts.
 */
import { FieldId, fieldIdOf } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { encode, startsWith } from "./byte-range.ts";
import type { StringMatcher } from "./string-matcher.ts";

export interface NamedCondition {
  /** Fields: lower case. */
  readonly name: Uint8Array;
  readonly value: StringMatcher;
  readonly invert: boolean;
}

export interface RouteConditionParts {
  readonly path: StringMatcher | undefined;
  readonly method: StringMatcher | undefined;
  readonly scheme: StringMatcher | undefined;
  readonly authority: StringMatcher | undefined;
  readonly fields: readonly NamedCondition[];
  readonly parameters: readonly NamedCondition[];
}

const http = encode("http");
const https = encode("https");
const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const COMMA = 0x2c;

export class RouteCondition {
  readonly path: StringMatcher | undefined;
  readonly #method: StringMatcher | undefined;
  readonly #scheme: StringMatcher | undefined;
  readonly #authority: StringMatcher | undefined;
  readonly #fields: readonly NamedCondition[];
  readonly #fieldIds: readonly FieldId[];
  readonly #parameters: readonly NamedCondition[];
  /** Nothing but the path is asked. */
  readonly #pathOnly: boolean;

  constructor(parts: RouteConditionParts) {
    this.path = parts.path;
    this.#method = parts.method;
    this.#scheme = parts.scheme;
    this.#authority = parts.authority;
    this.#fields = parts.fields;
    this.#fieldIds = parts.fields.map(({ name }) => fieldIdOf(name, 0, name.length));
    this.#parameters = parts.parameters;
    this.#pathOnly =
      parts.fields.length + parts.parameters.length === 0 &&
      parts.method === undefined &&
      parts.scheme === undefined &&
      parts.authority === undefined;
  }

  /** The path is bytes[from, to). */
  pathHolds(bytes: Uint8Array, from: number, to: number): boolean {
    return this.path === undefined || this.path.matches(bytes, from, to);
  }

  /** All but the path. */
  restHolds(head: MessageHead, secure: boolean): boolean {
    return this.#pathOnly || (this.#lineHolds(head, secure) && this.#namedHold(head));
  }

  #lineHolds(head: MessageHead, secure: boolean): boolean {
    if (this.#method !== undefined) {
      if (!this.#method.matches(head.bytes, head.start, head.methodEnd)) return false;
    }
    if (this.#scheme !== undefined) {
      const scheme = secure || head.schemeIsHttps ? https : http;
      if (!this.#scheme.matches(scheme, 0, scheme.length)) return false;
    }
    if (this.#authority === undefined) return true;
    const { authorityStart, authorityEnd } = head;
    if (authorityStart < 0) return false;
    return this.#authority.matches(head.bytes, authorityStart, authorityEnd);
  }

  #namedHold(head: MessageHead): boolean {
    for (let i = 0; i < this.#fields.length; i++) {
      const field = this.#fields[i]!;
      if (fieldHolds(head, field, this.#fieldIds[i]!) === field.invert) return false;
    }
    for (let i = 0; i < this.#parameters.length; i++) {
      const parameter = this.#parameters[i]!;
      if (parameterHolds(head, parameter) === parameter.invert) return false;
    }
    return true;
  }
}

function fieldHolds(head: MessageHead, { name, value }: NamedCondition, id: FieldId): boolean {
  const first = id === FieldId.other ? head.find(name) : head.firstOf[id]!;
  if (first === -1) return false;
  let times = 0;
  for (let i = first; i !== -1; i = next(head, name, id, i)) {
    if (value.matches(head.bytes, head.valueStart[i]!, head.valueEnd[i]!)) return true;
    times++;
  }
  if (times === 1) return false;
  const joined = joinValues(head, name, id, first);
  return value.matches(joined, 0, joined.length);
}

function next(head: MessageHead, name: Uint8Array, id: FieldId, index: number): number {
  return id === FieldId.other ? head.find(name, index + 1) : head.nextOf(id, index);
}

/** Allocates; only for a field that came more than once and of which no value holds. */
function joinValues(head: MessageHead, name: Uint8Array, id: FieldId, first: number): Uint8Array {
  const octets: number[] = [];
  for (let i = first; i !== -1; i = next(head, name, id, i)) {
    if (i !== first) octets.push(COMMA);
    for (let at = head.valueStart[i]!; at < head.valueEnd[i]!; at++) octets.push(head.bytes[at]!);
  }
  return Uint8Array.from(octets);
}

function parameterHolds(head: MessageHead, { name, value }: NamedCondition): boolean {
  const { bytes, queryEnd } = head;
  if (head.queryStart < 0) return false;
  for (let from = head.queryStart; from <= queryEnd; ) {
    let end = from;
    let equals = -1;
    for (; end < queryEnd && bytes[end] !== AMPERSAND; end++)
      if (bytes[end] === EQUALS && equals === -1) equals = end;
    const nameEnd = equals === -1 ? end : equals;
    if (nameEnd - from === name.length && startsWith(bytes, from, name))
      return value.matches(bytes, equals === -1 ? end : equals + 1, end);
    from = end + 1;
  }
  return false;
}
