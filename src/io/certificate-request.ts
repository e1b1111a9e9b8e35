/** Asks an authority for a certificate: a fresh key, and PKCS#10 (RFC 2986) signed with it. */
import { generateKeyPair, sign } from "node:crypto";
import { promisify } from "node:util";
import { der, derBits, derOid, derSequence, Tag, toPem } from "../core/der.ts";

export interface CertificateRequest {
  readonly csrPem: string;
  /** PKCS#8, not encrypted. */
  readonly keyPem: string;
}

const ECDSA_WITH_SHA256 = "2a8648ce3d040302";
const EXTENSION_REQUEST = "2a864886f70d01090e";
const SUBJECT_ALT_NAME = "551d11";
const URI = 0x86;

/** P-256. `uri` is the identity that is asked for; "": whatever the credential proves. */
export async function createCertificateRequest(uri: string): Promise<CertificateRequest> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)("ec", {
    namedCurve: "P-256",
  });
  const algorithm = derSequence(derOid(ECDSA_WITH_SHA256));
  const info = derSequence(
    der(Tag.integer, Buffer.of(0)),
    derSequence(),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa0, ...(uri === "" ? [] : [extensionRequest(uri)])),
  );
  const request = derSequence(info, algorithm, derBits(sign("sha256", info, privateKey)));
  return {
    csrPem: toPem("CERTIFICATE REQUEST", request),
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function extensionRequest(uri: string): Buffer {
  const names = derSequence(der(URI, Buffer.from(uri)));
  const extension = derSequence(derOid(SUBJECT_ALT_NAME), der(Tag.octetString, names));
  return derSequence(derOid(EXTENSION_REQUEST), der(Tag.set, derSequence(extension)));
}
