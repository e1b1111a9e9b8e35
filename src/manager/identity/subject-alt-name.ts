/**
 * The subjectAltName extension (RFC 5280 4.2.1.6): written into certificates, and read from those
 * who ask for one. They decide what is in it: text is printable ASCII or the whole extension is not
 * read, so that no NUL, blank or line break makes one name look like another.
 */
import { formatIpAddress, parseIpAddress, shortestIpAddress } from "../../attribute/ip-address.ts";
import { der, derSequence, readDerOf, Tag } from "../../core/der.ts";

export type AlternativeName =
  | { readonly kind: "dns" | "uri"; readonly value: string }
  /** "10.0.0.1", "2001:db8::1" */
  | { readonly kind: "ip"; readonly value: string }
  /** A mail address, a directory name and the like: `value` is their tag. */
  | { readonly kind: "other"; readonly value: string };

/** GeneralName's tags. */
const DNS = 0x82;
const URI = 0x86;
const IP = 0x87;
const PRINTABLE = /^[\x21-\x7e]+$/;
const NAMES_MAX = 16;

/** The content of the extension. Names that are none of ours are left out. */
export function encodeSubjectAltName(names: readonly AlternativeName[]): Buffer {
  return derSequence(...names.flatMap(encodeName));
}

function encodeName({ kind, value }: AlternativeName): readonly Buffer[] {
  if (kind === "other") return [];
  if (kind !== "ip") return [der(kind === "dns" ? DNS : URI, Buffer.from(value, "latin1"))];
  const address = value.includes("%") ? undefined : parseIpAddress(value);
  return address === undefined ? [] : [der(IP, Buffer.from(shortestIpAddress(address)))];
}

/** Undefined: malformed, or more than anybody needs. */
export function decodeSubjectAltName(content: Buffer): readonly AlternativeName[] | undefined {
  const elements = readDerOf(Tag.sequence, content);
  if (elements === undefined || elements.length === 0 || elements.length > NAMES_MAX)
    return undefined;
  const names: AlternativeName[] = [];
  for (const { tag, content: bytes } of elements) {
    const name = decodeName(tag, bytes);
    if (name === undefined) return undefined;
    names.push(name);
  }
  return names;
}

function decodeName(tag: number, bytes: Buffer): AlternativeName | undefined {
  if (tag === IP) {
    const isAddress = bytes.length === 4 || bytes.length === 16;
    return isAddress ? { kind: "ip", value: formatIpAddress(bytes) } : undefined;
  }
  if (tag !== DNS && tag !== URI) return { kind: "other", value: `[${tag & 0x1f}]` };
  const value = bytes.toString("latin1");
  if (!PRINTABLE.test(value)) return undefined;
  return { kind: tag === DNS ? "dns" : "uri", value };
}
