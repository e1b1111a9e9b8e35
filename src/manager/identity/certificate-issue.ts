/**
 * Writes certificates (X.509 v3, RFC 5280): who is named, for how long, signed by whom. Pure, but
 * for the serial number, which is random. `openssl verify -x509_strict` is content with them.
 */
import { createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { der, derBits, derOid, derSequence, derTime, Tag, toPem } from "../../core/der.ts";
import { type IssuerName, keyIdOf } from "./certificate-fields.ts";
import { type AlternativeName, encodeSubjectAltName } from "./subject-alt-name.ts";

export interface CertificateTemplate {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Of leafs. */
  readonly names?: readonly AlternativeName[];
  /** Of authorities: DER of the Name, see `subjectName`. A leaf's is empty. */
  readonly authority?: Buffer;
}

/** What signs. `key` fits the public key of the certificate that `name` and `keyId` are from. */
export interface Issuer extends IssuerName {
  readonly key: KeyObject;
}

export interface IssuedDer {
  readonly pem: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
}

const Oid = {
  ecdsaWithSha256: "2a8648ce3d040302",
  ecdsaWithSha384: "2a8648ce3d040303",
  sha256WithRsa: "2a864886f70d01010b",
  organization: "55040a",
  commonName: "550403",
  subjectKeyId: "551d0e",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  authorityKeyId: "551d23",
  extendedKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
  clientAuth: "2b06010505070302",
} as const;

const SERIAL_BYTES = 16;
const NULL = Buffer.of(5, 0);
const TRUE = der(Tag.boolean, Buffer.of(0xff));

export function issueCertificate(template: CertificateTemplate, issuer: Issuer): IssuedDer {
  const signature = signatureOf(issuer.key);
  if (signature === undefined) throw new Error("no key of this kind can sign certificates");
  const serial = serialNumber();
  const body = derSequence(
    der(0xa0, der(Tag.integer, Buffer.of(2))),
    der(Tag.integer, serial),
    signature.algorithm,
    issuer.name,
    derSequence(derTime(template.notBeforeMs), derTime(template.notAfterMs)),
    template.authority ?? derSequence(),
    template.publicKey,
    der(0xa3, derSequence(...extensionsOf(template, issuer))),
  );
  const signed = sign(signature.hash, body, issuer.key);
  const certificate = derSequence(body, signature.algorithm, derBits(signed));
  return { pem: toPem("CERTIFICATE", certificate), serial: serial.toString("hex") };
}

/** Signed by the key that it is about. */
export function selfSign(template: CertificateTemplate, key: KeyObject): IssuedDer {
  const name = template.authority ?? derSequence();
  return issueCertificate(template, { name, keyId: keyIdOf(template.publicKey), key });
}

/** Whether a key can sign here: P-256, P-384, or RSA of 2,048 bits and more. */
export function canSign(key: KeyObject): boolean {
  return signatureOf(key) !== undefined;
}

export function subjectName(organization: string, commonName: string): Buffer {
  return derSequence(
    ...[
      [Oid.organization, organization],
      [Oid.commonName, commonName],
    ].map(([oid = "", text = ""]) =>
      der(Tag.set, derSequence(derOid(oid), der(Tag.utf8String, Buffer.from(text)))),
    ),
  );
}

export function publicKeyOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}

function extensionsOf(template: CertificateTemplate, issuer: Issuer): readonly Buffer[] {
  const isAuthority = template.authority !== undefined;
  const constraints = derSequence(...(isAuthority ? [TRUE] : []));
  // certificate and revocation list signing; or digital signature.
  const usage = der(Tag.bitString, isAuthority ? Buffer.of(1, 6) : Buffer.of(7, 0x80));
  const all = [
    extension(Oid.basicConstraints, constraints, true),
    extension(Oid.keyUsage, usage, true),
    extension(Oid.subjectKeyId, der(Tag.octetString, keyIdOf(template.publicKey))),
    extension(Oid.authorityKeyId, derSequence(der(0x80, issuer.keyId))),
  ];
  if (isAuthority) return all;
  const purposes = derSequence(derOid(Oid.serverAuth), derOid(Oid.clientAuth));
  // Critical, as the subject is empty (4.2.1.6).
  const names = encodeSubjectAltName(template.names ?? []);
  all.push(extension(Oid.extendedKeyUsage, purposes), extension(Oid.subjectAltName, names, true));
  return all;
}

function extension(oid: string, value: Buffer, isCritical = false): Buffer {
  return derSequence(derOid(oid), ...(isCritical ? [TRUE] : []), der(Tag.octetString, value));
}

/** Positive, and always of the same length (RFC 5280 4.1.2.2). */
function serialNumber(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial;
}

function signatureOf(key: KeyObject): { hash: string; algorithm: Buffer } | undefined {
  const { asymmetricKeyType, asymmetricKeyDetails } = key;
  if (asymmetricKeyType === "rsa") {
    if ((asymmetricKeyDetails?.modulusLength ?? 0) < 2_048) return undefined;
    return { hash: "sha256", algorithm: derSequence(derOid(Oid.sha256WithRsa), NULL) };
  }
  if (asymmetricKeyType !== "ec") return undefined;
  switch (asymmetricKeyDetails?.namedCurve) {
    case "prime256v1":
      return { hash: "sha256", algorithm: derSequence(derOid(Oid.ecdsaWithSha256)) };
    case "secp384r1":
      return { hash: "sha384", algorithm: derSequence(derOid(Oid.ecdsaWithSha384)) };
    default:
      return undefined;
  }
}
