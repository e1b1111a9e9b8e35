/**
 * The static table of HPACK (RFC 7541 Appendix A), each entry as the line of HTTP/1.1 that it
 * becomes: "name: value", CRLF.
 */
import { type FieldId, fieldIdCount } from "../http/field-id.ts";
import { kindOf } from "./field-kind.ts";

/** In the order of their indexes, from 1. */
// biome-ignore format: a table reads as a table
const entries: readonly string[] = [
  ":authority", ":method: GET", ":method: POST", ":path: /", ":path: /index.html",
  ":scheme: http", ":scheme: https",
  ":status: 200", ":status: 204", ":status: 206", ":status: 304", ":status: 400", ":status: 404",
  ":status: 500",
  "accept-charset", "accept-encoding: gzip, deflate", "accept-language", "accept-ranges", "accept",
  "access-control-allow-origin", "age", "allow", "authorization", "cache-control",
  "content-disposition", "content-encoding", "content-language", "content-length",
  "content-location", "content-range", "content-type", "cookie", "date", "etag", "expect",
  "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
  "if-unmodified-since", "last-modified", "link", "location", "max-forwards",
  "proxy-authenticate", "proxy-authorization", "range", "referer", "refresh", "retry-after",
  "server", "set-cookie", "strict-transport-security", "transfer-encoding", "user-agent", "vary",
  "via", "www-authenticate",
];

/** The highest index; those above are of the dynamic table. */
export const staticCount = 61;

export const staticBytes: Uint8Array = new Uint8Array(2048);
/** Where the line of entry i begins. */
export const staticStart: Int32Array = new Int32Array(staticCount + 1);
export const staticNameLength: Uint8Array = new Uint8Array(staticCount + 1);
export const staticValueLength: Uint8Array = new Uint8Array(staticCount + 1);
/** A FieldId or a Pseudo. */
export const staticKind: Uint8Array = new Uint8Array(staticCount + 1);
const firstByKind = new Uint8Array(256);

/** The first index whose name is that of the kind; 0 if none is, or for FieldId.other. */
export function staticIndexOf(kind: FieldId | number): number {
  return kind < fieldIdCount || kind >= 128 ? firstByKind[kind]! : 0;
}

build();

function build(): void {
  let at = 0;
  for (const [i, entry] of entries.entries()) {
    const index = i + 1;
    const [name, value = ""] = entry.split(": ");
    const line = new TextEncoder().encode(`${name}: ${value}\r\n`);
    staticBytes.set(line, at);
    staticStart[index] = at;
    staticNameLength[index] = name!.length;
    staticValueLength[index] = value.length;
    const kind = kindOf(staticBytes, at, at + name!.length);
    staticKind[index] = kind;
    if (kind !== 0 && firstByKind[kind] === 0) firstByKind[kind] = index;
    at += line.length;
  }
}
