/**
 * The one form of a path that is routed by, judged by policy and forwarded. Two parties that read
 * "/a/%2e%2e/admin" differently are a way around a rule; so a path is brought to its normal form
 * once, in place, before anything looks at it (RFC 3986 6.2.2, Envoy's and Istio's options).
 *
 *   escapes of unreserved characters decoded, "\" as "/" ─▶ dot segments removed ─▶ "//" merged
 *
 * Decoding happens once: "/%252e" stays. What has no reading that everybody shares is refused: "%"
 * without two digits, "%00", a dot segment that hides behind a parameter ("/..;/") or beside an
 * escaped slash that is kept ("/..%2f"). The query is nobody's path: it stays as it was sent.
 */
import { Failures } from "../core/failure.ts";
import { type MessageHead, TargetForm } from "./message-head.ts";
import { Ascii, hexValue } from "./octet.ts";

/** What becomes of "%2f" and "%5c": Envoy's PathWithEscapedSlashesAction. */
export type EscapedSlashes =
  | "KEEP_UNCHANGED"
  | "REJECT_REQUEST"
  | "UNESCAPE_AND_REDIRECT"
  | "UNESCAPE_AND_FORWARD";

export interface PathRules {
  /** False: paths are taken as they come, and nothing below counts. */
  readonly normalizes: boolean;
  readonly mergesSlashes: boolean;
  readonly escapedSlashes: EscapedSlashes;
}

export const PathVerdict = {
  /** The head says why, in `failure` and `detail`; its bytes are as they were. */
  refused: -1,
  unchanged: 0,
  /** The head holds the normal form: its ranges and bytes are as if that had been sent. */
  changed: 1,
  /** As `changed`, and the client is to ask again for that: 307 to the head's path and query. */
  redirected: 2,
} as const;
export type PathVerdict = (typeof PathVerdict)[keyof typeof PathVerdict];

const DOT = 0x2e;
const PERCENT = 0x25;
const SLASH_ESCAPE = 0x2f;
const BACKSLASH_ESCAPE = 0x5c;
const SEMICOLON_ESCAPE = 0x3b;

/** Octet → what the fast scan has to look at: 1 a slash, 2 a dot, 3 what always has work to do. */
const scanClass = buildScanClasses();
/** 1: unreserved (RFC 3986 2.3). */
const unreserved = buildUnreserved();

/** One is made per worker: it has the output that a path is written to before it takes effect. */
export class PathNormalizer {
  readonly #out: Uint8Array;
  #length = 0;
  /** Where the segment under way begins. */
  #segment = 0;
  #unescaped = false;

  /** A longer path that has to be changed is refused. */
  constructor(pathBytesMax: number) {
    this.#out = new Uint8Array(pathBytesMax);
  }

  /** For a head of a request that was just scanned. Allocates nothing. */
  normalize(head: MessageHead, rules: PathRules): PathVerdict {
    const { pathStart: from, pathEnd: to } = head;
    if (!rules.normalizes || from === to || head.form > TargetForm.absolute) {
      return PathVerdict.unchanged;
    }
    if (isPlain(head.bytes, from, to, rules.mergesSlashes)) return PathVerdict.unchanged;
    const refusal = this.#write(head, rules);
    if (refusal !== undefined) {
      head.refuse(Failures.badTarget, refusal);
      return PathVerdict.refused;
    }
    if (rules.mergesSlashes) this.#mergeSlashes();
    if (this.#isUnchanged(head)) return PathVerdict.unchanged;
    replacePath(head, this.#out, this.#length);
    const redirects = this.#unescaped && rules.escapedSlashes === "UNESCAPE_AND_REDIRECT";
    return redirects ? PathVerdict.redirected : PathVerdict.changed;
  }

  /** Returns why the path is refused. */
  #write(head: MessageHead, { escapedSlashes }: PathRules): string | undefined {
    const { bytes, pathStart, pathEnd } = head;
    const out = this.#out;
    if (pathEnd - pathStart > out.length) return "path too long to be normalised";
    const keeps = escapedSlashes === "KEEP_UNCHANGED";
    this.#unescaped = false;
    this.#length = 0;
    this.#segment = 0;
    for (let at = pathStart; at < pathEnd; at++) {
      let octet = bytes[at]!;
      if (octet === PERCENT) {
        octet = escapeAt(bytes, at, pathEnd);
        if (octet <= 0) return octet === 0 ? "%00 in the path" : "% without two digits in the path";
        const slash = octet === SLASH_ESCAPE || octet === BACKSLASH_ESCAPE;
        if (slash && escapedSlashes === "REJECT_REQUEST") return "escaped slash in the path";
        if (!(slash && !keeps) && unreserved[octet] === 0) {
          out[this.#length++] = PERCENT;
          out[this.#length++] = bytes[at + 1]!;
          out[this.#length++] = bytes[at + 2]!;
          at += 2;
          continue;
        }
        this.#unescaped ||= slash;
        at += 2;
      }
      if (octet !== Ascii.slash && octet !== Ascii.backslash) out[this.#length++] = octet;
      else if (!this.#endSegment(false)) return "hidden dot segment in the path";
    }
    return this.#endSegment(true) ? undefined : "hidden dot segment in the path";
  }

  /** RFC 3986 5.2.4. False: it may be a dot segment to somebody else. */
  #endSegment(last: boolean): boolean {
    const out = this.#out;
    const segment = this.#segment;
    const dots = dotsOf(out, segment, this.#length);
    if (dots === 0) {
      if (hidesDots(out, segment, this.#length)) return false;
      if (!last) out[this.#length++] = Ascii.slash;
    } else {
      // The slash before it stays; ".." takes the segment before that with it.
      this.#length = segment;
      if (dots === 2 && segment > 1) {
        let before = segment - 1;
        while (out[before - 1] !== Ascii.slash) before--;
        this.#length = before;
      }
    }
    this.#segment = this.#length;
    return true;
  }

  #mergeSlashes(): void {
    const out = this.#out;
    let length = 0;
    for (let at = 0; at < this.#length; at++) {
      const octet = out[at]!;
      if (octet === Ascii.slash && length > 0 && out[length - 1] === Ascii.slash) continue;
      out[length++] = octet;
    }
    this.#length = length;
  }

  #isUnchanged({ bytes, pathStart, pathEnd }: MessageHead): boolean {
    if (this.#length !== pathEnd - pathStart) return false;
    for (let i = 0; i < this.#length; i++) {
      if (bytes[pathStart + i] !== this.#out[i]) return false;
    }
    return true;
  }
}

/** No octet of it calls for a second look: most paths end here. */
function isPlain(bytes: Uint8Array, from: number, to: number, merges: boolean): boolean {
  for (let at = from; at < to; at++) {
    const kind = scanClass[bytes[at]!]!;
    if (kind === 0) continue;
    if (kind === 3) return false;
    const follows = at > from && bytes[at - 1] === Ascii.slash;
    if (follows && (kind === 2 || merges)) return false;
  }
  return true;
}

/** The octet that "%xy" at `at` stands for, or -1. */
function escapeAt(bytes: Uint8Array, at: number, to: number): number {
  if (at + 2 >= to) return -1;
  const high = hexValue[bytes[at + 1]!]!;
  const low = hexValue[bytes[at + 2]!]!;
  return high > 15 || low > 15 ? -1 : high * 16 + low;
}

/** 1 for ".", 2 for "..", else 0. */
function dotsOf(bytes: Uint8Array, from: number, to: number): number {
  const length = to - from;
  if (length < 1 || length > 2 || bytes[from] !== DOT) return 0;
  return length === 1 ? 1 : bytes[from + 1] === DOT ? 2 : 0;
}

/**
 * Of a segment that is no dot segment: whether who cuts parameters off, or decodes escaped slashes,
 * finds one in it. A part begins with the segment or after an escaped slash, and ends there or at
 * a ";".
 */
function hidesDots(bytes: Uint8Array, from: number, to: number): boolean {
  let part = from;
  for (let at = from; at < to; at++) {
    const octet = bytes[at] === PERCENT ? escapeAt(bytes, at, to) : bytes[at]!;
    const slash = octet === SLASH_ESCAPE || octet === BACKSLASH_ESCAPE;
    if (!slash && octet !== SEMICOLON_ESCAPE) continue;
    if (part !== -1 && dotsOf(bytes, part, at) > 0) return true;
    part = slash ? at + 3 : -1;
  }
  return part !== -1 && dotsOf(bytes, part, to) > 0;
}

/**
 * Puts a path, no longer than the present one, in its place. It ends where that ended, and what
 * stands before it moves up, so that the head can be scanned again and reads the same.
 */
function replacePath(head: MessageHead, path: Uint8Array, length: number): void {
  head.lineId = 0;
  const { bytes, start, pathStart, pathEnd } = head;
  const by = pathEnd - pathStart - length;
  for (let i = 0; i < length; i++) bytes[pathEnd - length + i] = path[i]!;
  head.pathStart += by;
  if (head.form === TargetForm.origin) head.targetStart += by;
  if (by === 0 || head.methodEnd + 1 > pathStart || head.methodEnd < start) return;
  bytes.copyWithin(start + by, start, pathStart);
  head.start += by;
  head.methodEnd += by;
  if (head.form === TargetForm.origin) return;
  head.targetStart += by;
  if (head.authorityStart >= start && head.authorityEnd <= pathStart) {
    head.authorityStart += by;
    head.authorityEnd += by;
    head.hostEnd += by;
  }
}

function buildScanClasses(): Uint8Array {
  const table = new Uint8Array(256);
  table[Ascii.slash] = 1;
  table[DOT] = 2;
  table[PERCENT] = 3;
  table[Ascii.backslash] = 3;
  return table;
}

function buildUnreserved(): Uint8Array {
  const table = new Uint8Array(256);
  for (const octet of new TextEncoder().encode("-._~0123456789")) table[octet] = 1;
  for (let letter = 0; letter < 26; letter++) {
    table[65 + letter] = 1;
    table[97 + letter] = 1;
  }
  return table;
}
