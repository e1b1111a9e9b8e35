/** What an authority does with a request for a certificate, as far as tests need it. */
import type { CertificateAuthority, CertificateRequest } from "./certificate-authority.ts";

/** How a SubjectPublicKeyInfo of P-256 begins; the point follows. */
const P256_SPKI = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex");
const POINT_BYTES = 65;

/** Chain in PEM; the request is believed in nothing but its key. */
export function signFor(
  authority: CertificateAuthority,
  csrPem: string,
  request: Omit<CertificateRequest, "name">,
): string {
  const bytes = Buffer.from(csrPem.replace(/-----.*?-----|\s/g, ""), "base64");
  const at = bytes.indexOf(P256_SPKI);
  const spki = bytes.subarray(at, at + P256_SPKI.length + POINT_BYTES);
  return authority.certify({ name: "", ...request }, spki);
}
