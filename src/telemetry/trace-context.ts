/**
 * Which trace a request belongs to, as it is written in header fields: W3C Trace Context (levels 1
 * and 2) and B3, single and multi-header. Strict where the standards are: what is not valid is no
 * context, and a new trace begins.
 */
export interface TraceContext {
  /** 32 hexadecimal digits in lower case, not all zero. */
  readonly traceId: string;
  /** Of the caller's span: 16 digits, not all zero. */
  readonly parentId: string;
  /** Undefined: left to the receiver (B3 only). */
  readonly sampled: boolean | undefined;
  /** All flags of traceparent; bit 0: sampled, bit 1: the trace id is random. */
  readonly flags: number;
}

const SAMPLED = 1;
const ALL_ZERO = /^0+$/;
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** `values`: of all traceparent fields of the request; more than one is no context. */
export function parseTraceParent(values: readonly string[]): TraceContext | undefined {
  if (values.length !== 1) return undefined;
  const match = TRACEPARENT.exec(trimOws(values[0]!));
  if (match === null) return undefined;
  const [, version, traceId = "", parentId = "", flags = "", more] = match;
  // A later version may have more fields; version 00 has none, and ff is forbidden.
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (ALL_ZERO.test(traceId) || ALL_ZERO.test(parentId)) return undefined;
  const bits = Number.parseInt(flags, 16);
  return { traceId, parentId, sampled: (bits & SAMPLED) !== 0, flags: bits };
}

/** As version 00, with the flags that it knows. */
export function formatTraceParent(context: TraceContext, parentId = context.parentId): string {
  const flags = (context.flags & 0b11).toString(16).padStart(2, "0");
  return `00-${context.traceId}-${parentId}-${flags}`;
}

export interface TraceStateMember {
  readonly key: string;
  readonly value: string;
}

const STATE_MEMBERS_MAX = 32;
/** Level 2: a key may begin with a digit, and name a system behind "@". */
const STATE_KEY =
  /^(?:[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z0-9][a-z0-9_\-*/]{0,13})$/;
/** Printable, neither comma nor equals sign, not ending in a space. */
const STATE_VALUE = /^[ -+\--<>-~]{0,255}[!-+\--<>-~]$/;

/** All tracestate fields in order; undefined: not valid, to be dropped as a whole. */
export function parseTraceState(values: readonly string[]): TraceStateMember[] | undefined {
  const members: TraceStateMember[] = [];
  for (const text of values.flatMap((value) => value.split(","))) {
    const member = trimOws(text);
    if (member === "") continue;
    const at = member.indexOf("=");
    const [key, value] = [member.slice(0, at), member.slice(at + 1)];
    if (at === -1 || !STATE_KEY.test(key) || !STATE_VALUE.test(value)) return undefined;
    if (members.push({ key, value }) > STATE_MEMBERS_MAX) return undefined;
  }
  return members;
}

export function formatTraceState(members: readonly TraceStateMember[]): string {
  return members.map(({ key, value }) => `${key}=${value}`).join(",");
}

/** Fields of B3 propagation; undefined: absent. */
export interface B3Fields {
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly sampled: string | undefined;
  readonly flags: string | undefined;
}

const B3_SINGLE = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d]))?(?:-([0-9a-f]{16}))?$/i;
const B3_TRACE = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i;
const B3_SPAN = /^[0-9a-f]{16}$/i;

/** The field `b3`. A decision alone ("0", "1", "d") is no context: see parseB3Decision. */
export function parseB3Single(value: string): TraceContext | undefined {
  const match = B3_SINGLE.exec(trimOws(value));
  if (match === null) return undefined;
  const [, traceId = "", spanId = "", decision] = match;
  return b3Context(traceId, spanId, decision === undefined ? undefined : decision !== "0");
}

/** Sampling without identifiers, in the field `b3` or in `x-b3-sampled`. */
export function parseB3Decision(value: string): boolean | undefined {
  const text = trimOws(value).toLowerCase();
  if (text === "1" || text === "d" || text === "true") return true;
  return text === "0" || text === "false" ? false : undefined;
}

/** The fields `x-b3-traceid`, `-spanid`, `-sampled`, `-flags` (1: debug, which is sampled). */
export function parseB3Multi(fields: B3Fields): TraceContext | undefined {
  const traceId = trimOws(fields.traceId ?? "");
  const spanId = trimOws(fields.spanId ?? "");
  if (!B3_TRACE.test(traceId) || !B3_SPAN.test(spanId)) return undefined;
  const isDebug = trimOws(fields.flags ?? "") === "1";
  return b3Context(traceId, spanId, isDebug || parseB3Decision(fields.sampled ?? ""));
}

export function formatB3Single(context: TraceContext, spanId = context.parentId): string {
  const decision = context.sampled === undefined ? "" : context.sampled ? "-1" : "-0";
  return `${context.traceId}-${spanId}${decision}`;
}

/** A 64-bit trace id is the lower half of one of 128 bits. */
function b3Context(
  traceId: string,
  spanId: string,
  sampled: boolean | undefined,
): TraceContext | undefined {
  if (ALL_ZERO.test(traceId) || ALL_ZERO.test(spanId)) return undefined;
  return {
    traceId: traceId.toLowerCase().padStart(32, "0"),
    parentId: spanId.toLowerCase(),
    sampled,
    flags: sampled === true ? SAMPLED : 0,
  };
}

/** Optional white space of RFC 9110: spaces and tabs. */
function trimOws(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}
