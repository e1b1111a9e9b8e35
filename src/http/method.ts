/** Request methods as small numbers; methods are case-sensitive (RFC 9110 9.1). */
export const MethodId = {
  other: 0,
  get: 1,
  head: 2,
  post: 3,
  put: 4,
  delete: 5,
  connect: 6,
  options: 7,
  trace: 8,
  patch: 9,
} as const;
export type MethodId = (typeof MethodId)[keyof typeof MethodId];

/** In the order of MethodId; "" for methods that we only pass on. */
export const methodNames: readonly string[] = [
  "",
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "PATCH",
];

const octets: readonly Uint8Array[] = methodNames.map((name) => new TextEncoder().encode(name));

/** May be sent again after it was possibly processed (RFC 9110 9.2.2). */
export function isIdempotent(method: MethodId): boolean {
  return idempotent[method]!;
}

const idempotent: readonly boolean[] = methodNames.map((name) =>
  ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"].includes(name),
);

export function methodIdOf(bytes: Uint8Array, from: number, to: number): MethodId {
  const id = candidate(bytes[from]!, to - from, bytes[from + 1]!);
  const name = octets[id]!;
  if (name.length !== to - from) return MethodId.other;
  for (let i = 0; i < name.length; i++) {
    if (bytes[from + i] !== name[i]) return MethodId.other;
  }
  return id;
}

function candidate(first: number, length: number, second: number): MethodId {
  switch (first) {
    case 71: // G
      return MethodId.get;
    case 80: // P
      if (length === 3) return MethodId.put;
      return second === 65 ? MethodId.patch : MethodId.post;
    case 72: // H
      return MethodId.head;
    case 68: // D
      return MethodId.delete;
    case 79: // O
      return MethodId.options;
    case 67: // C
      return MethodId.connect;
    case 84: // T
      return MethodId.trace;
    default:
      return MethodId.other;
  }
}
