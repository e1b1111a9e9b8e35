/** Certificates as operators want to read them. Public: there is nothing of keys in it. */
import { X509Certificate } from "node:crypto";
import { readAlternativeNames } from "./alternative-name.ts";
import { sha256Of, subjectOf } from "./tls-facts.ts";

export interface CertificateFacts {
  /** RFC 4514; may be empty. */
  readonly subject: string;
  readonly issuer: string;
  /** In lower-case hexadecimal, as it was issued. */
  readonly serial: string;
  readonly sha256: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** "spiffe://…" */
  readonly uris: readonly string[];
  /** Names of hosts; in lower case. */
  readonly dns: readonly string[];
}

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Each in the order of the text; what cannot be read is left out. */
export function describeCertificates(pem: string): readonly CertificateFacts[] {
  return (pem.match(BLOCK) ?? []).flatMap((block) => {
    try {
      return [describe(new X509Certificate(block))];
    } catch {
      return [];
    }
  });
}

function describe(certificate: X509Certificate): CertificateFacts {
  const { uris, dns } = readAlternativeNames(certificate.subjectAltName);
  const issuer: string | undefined = certificate.issuer;
  return {
    subject: subjectOf(certificate),
    issuer: (issuer ?? "").split("\n").reverse().join(","),
    serial: certificate.serialNumber.toLowerCase(),
    sha256: sha256Of(certificate),
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
    uris,
    dns,
  };
}
