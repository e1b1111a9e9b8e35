/**
 * The field names that the proxy itself reads, as small numbers.
 *
 * The scanner compares names once, here; whoever reads a head afterwards compares numbers. A name
 * is found by a hash of its length, first, middle and last octet, and then compared octet by octet,
 * without regard to case; "_" is never "-" (RFC 9110 5.1).
 */
export const FieldId = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  proxyConnection: 6,
  te: 7,
  trailer: 8,
  upgrade: 9,
  expect: 10,
  http2Settings: 11,
  proxyAuthenticate: 12,
  proxyAuthorization: 13,
  via: 14,
  maxForwards: 15,
  date: 16,
  server: 17,
  contentType: 18,
  contentEncoding: 19,
  contentRange: 20,
  range: 21,
  cookie: 22,
  setCookie: 23,
  authorization: 24,
  userAgent: 25,
  referer: 26,
  origin: 27,
  accessControlRequestMethod: 28,
  accessControlRequestHeaders: 29,
  location: 30,
  retryAfter: 31,
  forwarded: 32,
  xForwardedFor: 33,
  xForwardedProto: 34,
  xForwardedHost: 35,
  xForwardedClientCert: 36,
  xRequestId: 37,
  xMeshReason: 38,
  xEnvoyAttemptCount: 39,
  xEnvoyOriginalPath: 40,
  xB3TraceId: 41,
  xB3SpanId: 42,
  xB3ParentSpanId: 43,
  xB3Sampled: 44,
  xB3Flags: 45,
  b3: 46,
  traceparent: 47,
  tracestate: 48,
  grpcTimeout: 49,
  grpcStatus: 50,
  grpcEncoding: 51,
  cacheControl: 52,
  acceptEncoding: 53,
} as const;
export type FieldId = (typeof FieldId)[keyof typeof FieldId];

/** In the order of FieldId, from 1. */
const names: readonly string[] = [
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "http2-settings",
  "proxy-authenticate",
  "proxy-authorization",
  "via",
  "max-forwards",
  "date",
  "server",
  "content-type",
  "content-encoding",
  "content-range",
  "range",
  "cookie",
  "set-cookie",
  "authorization",
  "user-agent",
  "referer",
  "origin",
  "access-control-request-method",
  "access-control-request-headers",
  "location",
  "retry-after",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-client-cert",
  "x-request-id",
  "x-mesh-reason",
  "x-envoy-attempt-count",
  "x-envoy-original-path",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
  "b3",
  "traceparent",
  "tracestate",
  "grpc-timeout",
  "grpc-status",
  "grpc-encoding",
  "cache-control",
  "accept-encoding",
];

export const fieldIdCount: number = names.length + 1;

/** The name of a known field in lower case; "" for FieldId.other. */
export function fieldName(id: FieldId): string {
  return id === FieldId.other ? "" : names[id - 1]!;
}

const slotCount = 512;
const offsets = new Uint16Array(names.length + 2);
const packed = new Uint8Array(names.reduce((sum, name) => sum + name.length, 0));
const slots = buildSlots();

/**
 * The id of the name in [from, to), in any case; FieldId.other where it is none of ours. The octets
 * must be token characters: a CR would be taken for a hyphen.
 */
export function fieldIdOf(bytes: Uint8Array, from: number, to: number): FieldId {
  const length = to - from;
  if (length === 0) return FieldId.other;
  const middle = bytes[from + (length >> 1)]!;
  const id = slots[slotOf(length, bytes[from]!, middle, bytes[to - 1]!)]!;
  if (id === 0) return FieldId.other;
  let at = offsets[id]!;
  if (offsets[id + 1]! - at !== length) return FieldId.other;
  for (let i = from; i < to; i++, at++) {
    if ((bytes[i]! | 32) !== packed[at]!) return FieldId.other;
  }
  return id as FieldId;
}

/** The factors were searched for: they give every name above a slot of its own. */
function slotOf(length: number, first: number, middle: number, last: number): number {
  return (length + (first | 32) + (middle | 32) * 31 + (last | 32) * 10) & (slotCount - 1);
}

/** Two names in one slot would hide each other: the test beside finds none. */
function buildSlots(): Uint8Array {
  const table = new Uint8Array(slotCount);
  let at = 0;
  for (const [index, name] of names.entries()) {
    offsets[index + 1] = at;
    for (let i = 0; i < name.length; i++) packed[at++] = name.charCodeAt(i);
    const middle = name.charCodeAt(name.length >> 1);
    const slot = slotOf(name.length, name.charCodeAt(0), middle, name.charCodeAt(name.length - 1));
    table[slot] = index + 1;
  }
  offsets[names.length + 1] = at;
  return table;
}
