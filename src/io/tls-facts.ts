/** What a TLS connection turned out to be, read once when its handshake is done. */
import type { X509Certificate } from "node:crypto";
import { type AlternativeNames, readAlternativeNames } from "./alternative-name.ts";

export interface TlsFacts {
  /** "TLSv1.2" or "TLSv1.3". */
  readonly version: string;
  /** OpenSSL's name: "TLS_AES_128_GCM_SHA256". */
  readonly cipher: string;
  /** What ALPN agreed on: "h2", "http/1.1"; "": nothing. */
  readonly protocol: string;
  /** The server's name as the client gave it; "": it gave none. */
  readonly serverName: string;
  /** Undefined: the peer has shown none. */
  readonly peer: PeerCertificate | undefined;
}

export interface PeerCertificate {
  /** It leads to one of our roots and is in force; says nothing about its names. */
  readonly verified: boolean;
  /** Why not, in OpenSSL's words ("CERT_HAS_EXPIRED"); "" when verified. */
  readonly verdict: string;
  /** RFC 4514: "CN=web,O=Acme". */
  readonly subject: string;
  readonly names: AlternativeNames;
  /** Of the whole certificate, in lower-case hexadecimal, as in x-forwarded-client-cert. */
  readonly sha256: string;
  /** As time of day. */
  readonly notAfterMs: number;
}

/** What Bun's sockets can say, as far as we ask. */
export interface NativeTlsSocket {
  readonly alpnProtocol: string | false | null;
  getTLSVersion(): string | null;
  getCipher(): { readonly name?: string } | undefined;
  getPeerX509Certificate(): X509Certificate | undefined;
}

/** `verdict` is about the peer's certificate; "": good. */
export function readTlsFacts(
  socket: NativeTlsSocket,
  serverName: string,
  verdict: string,
): TlsFacts {
  const certificate = socket.getPeerX509Certificate();
  return {
    version: socket.getTLSVersion() ?? "",
    cipher: socket.getCipher()?.name ?? "",
    protocol: socket.alpnProtocol || "",
    serverName,
    peer: certificate === undefined ? undefined : readPeerCertificate(certificate, verdict),
  };
}

function readPeerCertificate(certificate: X509Certificate, verdict: string): PeerCertificate {
  return {
    verified: verdict === "",
    verdict,
    subject: subjectOf(certificate),
    names: readAlternativeNames(certificate.subjectAltName),
    sha256: sha256Of(certificate),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** Printed one attribute a line, the most general first; RFC 4514 begins with the last. */
export function subjectOf(certificate: X509Certificate): string {
  // Types say always, Bun says undefined for an empty name.
  const subject: string | undefined = certificate.subject;
  return subject === undefined ? "" : subject.split("\n").reverse().join(",");
}

export function sha256Of(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}
