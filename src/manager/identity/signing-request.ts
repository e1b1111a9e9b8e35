/**
 * Reads a request for a certificate (PKCS#10, RFC 2986) of somebody whom we do not know yet. What
 * counts of it is the public key, and that its owner has signed; the names in it are read only to
 * be compared with who the caller is.
 */
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { type DerElement, readDer, readDerOf, Tag } from "../../core/der.ts";
import { type AlternativeName, decodeSubjectAltName } from "./subject-alt-name.ts";

export interface SigningRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** Of the subject; most have none. */
  readonly commonNames: readonly string[];
  readonly names: readonly AlternativeName[];
}

export type SigningRequestResult =
  | { readonly at: "request"; readonly request: SigningRequest }
  /** In words for whoever wrote it. */
  | { readonly at: "refused"; readonly why: string };

/** Far more than a key of 8,192 bits and a few names take. */
export const REQUEST_TEXT_MAX = 16_384;
const RSA_BITS = { least: 2_048, most: 8_192 } as const;
const CURVES: readonly (string | undefined)[] = ["prime256v1", "secp384r1"];
const BLOCK =
  /^-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----\s([\w+/=\s]+)-----END (?:NEW )?[A-Z ]+-----$/;

const COMMON_NAME = "550403";
const EXTENSION_REQUEST = "2a864886f70d01090e";
const SUBJECT_ALT_NAME = "551d11";
const ATTRIBUTES = 0xa0;
/** UTF8String, PrintableString, IA5String. */
const TEXT_TAGS: readonly number[] = [0x0c, 0x13, 0x16];

/** By the content of their OID in hexadecimal. */
const SIGNATURES: Readonly<Record<string, { readonly key: "ec" | "rsa"; readonly hash: string }>> =
  {
    "2a8648ce3d040302": { key: "ec", hash: "sha256" },
    "2a8648ce3d040303": { key: "ec", hash: "sha384" },
    "2a8648ce3d040304": { key: "ec", hash: "sha512" },
    "2a864886f70d01010b": { key: "rsa", hash: "sha256" },
    "2a864886f70d01010c": { key: "rsa", hash: "sha384" },
    "2a864886f70d01010d": { key: "rsa", hash: "sha512" },
  };

const MALFORMED = refused("it is not PKCS#10 in DER");

/** `pem` may be anything. */
export function readSigningRequest(pem: string): SigningRequestResult {
  if (pem.length > REQUEST_TEXT_MAX)
    return refused(`it is longer than ${REQUEST_TEXT_MAX} characters`);
  const [, text] = BLOCK.exec(pem.trim()) ?? [];
  if (text === undefined) return refused("it is not one CERTIFICATE REQUEST in PEM form");
  return decodeSigningRequest(Buffer.from(text, "base64"));
}

/** Of DER. */
export function decodeSigningRequest(bytes: Buffer): SigningRequestResult {
  const [info, algorithm, signature, ...others] = readDerOf(Tag.sequence, bytes) ?? [];
  if (info?.tag !== Tag.sequence || algorithm?.tag !== Tag.sequence || signature === undefined)
    return MALFORMED;
  const [version, subject, spki, attributes, ...more] = readDer(info.content) ?? [];
  if (version?.tag !== Tag.integer || version.content.toString("hex") !== "00") return MALFORMED;
  if (subject === undefined || spki === undefined || others.length + more.length > 0)
    return MALFORMED;
  const key = readPublicKey(spki.whole);
  if (typeof key === "string") return refused(key);
  const wrong = checkSignature(info, { key, algorithm, signature });
  if (wrong !== undefined) return refused(wrong);
  const commonNames = readCommonNames(subject);
  if (commonNames === undefined) return refused("its subject cannot be read");
  const names = readNames(attributes);
  if (typeof names === "string") return refused(names);
  const publicKey = key.export({ type: "spki", format: "der" });
  return { at: "request", request: { publicKey, commonNames, names } };
}

function refused(why: string): SigningRequestResult {
  return { at: "refused", why };
}

/** Text: why not. */
function readPublicKey(spki: Buffer): KeyObject | string {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, type: "spki", format: "der" });
  } catch {
    return "its public key cannot be read";
  }
  const { asymmetricKeyType, asymmetricKeyDetails: details } = key;
  if (asymmetricKeyType === "ec" && CURVES.includes(details?.namedCurve)) return key;
  const bits = details?.modulusLength ?? 0;
  if (asymmetricKeyType === "rsa" && bits >= RSA_BITS.least && bits <= RSA_BITS.most) return key;
  return "its key has to be P-256, P-384, or RSA of 2048 to 8192 bits";
}

function checkSignature(
  info: DerElement,
  signed: { key: KeyObject; algorithm: DerElement; signature: DerElement },
): string | undefined {
  const { key, algorithm, signature } = signed;
  const [oid] = readDer(algorithm.content) ?? [];
  const kind = SIGNATURES[oidOf(oid)];
  if (kind === undefined || kind.key !== key.asymmetricKeyType)
    return "its signature is of a kind that is not taken";
  const isWhole = signature.tag === Tag.bitString && signature.content[0] === 0;
  if (isWhole && verify(kind.hash, info.whole, key, signature.content.subarray(1)))
    return undefined;
  return "it was not signed with the key that it is for";
}

/** Undefined: malformed, or text that no name is written in. */
function readCommonNames(subject: DerElement): readonly string[] | undefined {
  if (subject.tag !== Tag.sequence) return undefined;
  const sets = readDer(subject.content);
  if (sets === undefined) return undefined;
  const found: string[] = [];
  for (const { content } of sets)
    for (const attribute of readDer(content) ?? []) {
      const [oid, value] = readDer(attribute.content) ?? [];
      if (oidOf(oid) !== COMMON_NAME || value === undefined) continue;
      const text = value.content.toString("latin1");
      if (!TEXT_TAGS.includes(value.tag) || !/^[\x20-\x7e]*$/.test(text)) return undefined;
      found.push(text);
    }
  return found;
}

/** Text: why not. */
function readNames(attributes: DerElement | undefined): readonly AlternativeName[] | string {
  if (attributes === undefined) return [];
  const list = attributes.tag === ATTRIBUTES ? readDer(attributes.content) : undefined;
  if (list === undefined) return "its attributes cannot be read";
  const found: Buffer[] = [];
  for (const { content } of list) {
    const [oid, values] = readDer(content) ?? [];
    if (oidOf(oid) !== EXTENSION_REQUEST) continue;
    const extensions = readExtensions(values);
    if (extensions === undefined) return "its extensions cannot be read";
    found.push(...extensions);
  }
  const [first, second] = found;
  if (second !== undefined) return "it names its subject in two extensions";
  if (first === undefined) return [];
  return decodeSubjectAltName(first) ?? "its subjectAltName cannot be read";
}

/** The contents of each subjectAltName. */
function readExtensions(values: DerElement | undefined): readonly Buffer[] | undefined {
  const [extensions] = values === undefined ? [] : (readDer(values.content) ?? []);
  const list = extensions === undefined ? undefined : readDer(extensions.content);
  return list?.flatMap(({ content }) => {
    const parts = readDer(content) ?? [];
    const value = parts.at(-1);
    const isNames = oidOf(parts[0]) === SUBJECT_ALT_NAME;
    return isNames && value !== undefined ? [value.content] : [];
  });
}

/** In hexadecimal; "": it is none. */
function oidOf(element: DerElement | undefined): string {
  return element?.tag === Tag.oid ? element.content.toString("hex") : "";
}
