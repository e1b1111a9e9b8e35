/**
 * What of a request decides its endpoint, for balancing by hash: a field, a cookie, a query
 * parameter, the client's address. Compiled at publish; hashOf() runs for each exchange, over the
 * bytes of its head, and allocates nothing.
 *
 *   hashOf() ─▶ a hash ─▶ Cluster.pick(avoid, hash)
 *            ─▶ NO_HASH: nothing of it is there; any endpoint will do
 *            ─▶ NEEDS_COOKIE: a client without our cookie ─▶ issueCookie() ─▶ its hash, and the
 *               line for the response
 */
import type { Random } from "../../../core/random.ts";
import { FieldId } from "../../../http/field-id.ts";
import type { MessageHead } from "../../../http/message-head.ts";
import { encode } from "../../route/byte-range.ts";
import { NO_HASH } from "./balancer.ts";
import { hashBytes, hashText, mix } from "./hash.ts";

export const NEEDS_COOKIE = -2;

export type HashRule =
  | { readonly by: "header"; readonly name: Uint8Array }
  | { readonly by: "query"; readonly name: Uint8Array }
  | { readonly by: "source" }
  | {
      readonly by: "cookie";
      readonly name: Uint8Array;
      /** Before and after the value in a Set-Cookie line; undefined: none is issued. */
      readonly line: readonly [before: string, after: string] | undefined;
    };

/** All rules that find something count together. */
export type HashPolicy = readonly HashRule[];

export interface IssuedCookie {
  readonly hash: number;
  /** "set-cookie: route=8a…; Path=/; HttpOnly\r\n" */
  readonly line: Uint8Array;
}

export interface CookieSettings {
  readonly name: string;
  /** Undefined: the proxy issues none. 0: for the client's session. */
  readonly ttlSeconds: number | undefined;
  readonly path: string;
  /** Further ones, as "SameSite=Strict". */
  readonly attributes: readonly string[];
}

/** `name` in any case. */
export function headerRule(name: string): HashRule {
  return { by: "header", name: encode(name.toLowerCase()) };
}

export function queryRule(name: string): HashRule {
  return { by: "query", name: encode(name) };
}

export function cookieRule({ name, ttlSeconds, path, attributes }: CookieSettings): HashRule {
  const words = [
    ...(ttlSeconds === undefined || ttlSeconds === 0 ? [] : [`Max-Age=${ttlSeconds}`]),
    ...(path === "" ? [] : [`Path=${path}`]),
    ...attributes,
    "HttpOnly",
  ];
  const after = words.map((word) => `; ${word}`).join("");
  const line = [`set-cookie: ${name}=`, `${after}\r\n`] as const;
  return { by: "cookie", name: encode(name), line: ttlSeconds === undefined ? undefined : line };
}

/** A hash, NO_HASH or NEEDS_COOKIE. `sourceAddress`: the client's, without port. */
export function hashOf(policy: HashPolicy, head: MessageHead, sourceAddress: string): number {
  return combine(policy, head, sourceAddress, undefined);
}

/** For a request whose hash was NEEDS_COOKIE. */
export function issueCookie(
  policy: HashPolicy,
  head: MessageHead,
  sourceAddress: string,
  random: Random,
): IssuedCookie {
  const value = `${hexWord(random)}${hexWord(random)}`;
  const rule = policy.find((one) => one.by === "cookie" && one.line !== undefined);
  const [before, after] = rule?.by === "cookie" && rule.line !== undefined ? rule.line : ["", ""];
  return {
    hash: combine(policy, head, sourceAddress, value),
    line: encode(`${before}${value}${after}`),
  };
}

/** `issued`: the value of the cookie that the client is about to get. */
function combine(
  policy: HashPolicy,
  head: MessageHead,
  sourceAddress: string,
  issued: string | undefined,
): number {
  let combined = NO_HASH;
  for (let i = 0; i < policy.length; i++) {
    const rule = policy[i]!;
    let hash = ruleHash(rule, head, sourceAddress);
    if (hash === NO_HASH && rule.by === "cookie" && rule.line !== undefined) {
      if (issued === undefined) return NEEDS_COOKIE;
      hash = hashText(issued);
    }
    if (hash !== NO_HASH) combined = together(combined, hash);
  }
  return combined;
}

function ruleHash(rule: HashRule, head: MessageHead, sourceAddress: string): number {
  switch (rule.by) {
    case "header":
      return headerHash(rule.name, head);
    case "cookie":
      return cookieHash(rule.name, head);
    case "query":
      return queryHash(rule.name, head);
    case "source":
      return sourceAddress === "" ? NO_HASH : hashText(sourceAddress);
    default:
      return rule satisfies never;
  }
}

/** Of all values of the field, in their order. */
function headerHash(name: Uint8Array, head: MessageHead): number {
  let combined = NO_HASH;
  for (let i = head.find(name); i !== -1; i = head.find(name, i + 1)) {
    const hash = hashBytes(head.bytes, head.valueStart[i]!, head.valueEnd[i]!);
    combined = together(combined, hash);
  }
  return combined;
}

const SEMICOLON = 0x3b;
const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const SPACE = 0x20;
const TAB = 0x09;

/** Of the first cookie of that name, its quotes left out (RFC 6265 4.2.1). */
function cookieHash(name: Uint8Array, head: MessageHead): number {
  const { bytes } = head;
  for (let i = head.firstOf[FieldId.cookie]!; i !== -1; i = head.nextOf(FieldId.cookie, i)) {
    const end = head.valueEnd[i]!;
    let at = head.valueStart[i]!;
    while (at < end) {
      while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at++;
      const to = indexOf(bytes, SEMICOLON, at, end);
      const from = valueAfter(bytes, at, to, name);
      if (from !== -1) return unquotedHash(bytes, from, to);
      at = to + 1;
    }
  }
  return NO_HASH;
}

function unquotedHash(bytes: Uint8Array, from: number, to: number): number {
  let end = to;
  while (end > from && (bytes[end - 1] === SPACE || bytes[end - 1] === TAB)) end--;
  const quoted = end - from >= 2 && bytes[from] === QUOTE && bytes[end - 1] === QUOTE;
  return quoted ? hashBytes(bytes, from + 1, end - 1) : hashBytes(bytes, from, end);
}

/** Of the first parameter of that name, as it was written: nothing is decoded. */
function queryHash(name: Uint8Array, head: MessageHead): number {
  const { bytes, queryEnd } = head;
  let at = head.queryStart;
  if (at < 0) return NO_HASH;
  while (at < queryEnd) {
    const to = indexOf(bytes, AMPERSAND, at, queryEnd);
    const from = valueAfter(bytes, at, to, name);
    if (from !== -1) return hashBytes(bytes, from, to);
    at = to + 1;
  }
  return NO_HASH;
}

/** Where the value begins if bytes[from, to) is "name=value"; else -1. */
function valueAfter(bytes: Uint8Array, from: number, to: number, name: Uint8Array): number {
  const at = from + name.length;
  if (at >= to || bytes[at] !== EQUALS) return -1;
  for (let i = 0; i < name.length; i++) if (bytes[from + i] !== name[i]) return -1;
  return at + 1;
}

/** The first `octet` in [from, to), or `to`. */
function indexOf(bytes: Uint8Array, octet: number, from: number, to: number): number {
  let at = from;
  while (at < to && bytes[at] !== octet) at++;
  return at;
}

function together(combined: number, hash: number): number {
  return combined === NO_HASH ? hash : mix(((combined << 1) | (combined >>> 31)) ^ hash);
}

function hexWord(random: Random): string {
  return Math.floor(random() * 0x1_0000_0000)
    .toString(16)
    .padStart(8, "0");
}
