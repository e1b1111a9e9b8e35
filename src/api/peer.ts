/**
 * What a door of the control plane knows of a connection before anything was said on it. Who that
 * makes the caller is decided elsewhere (`Identify`), for each request: a certificate may expire
 * meanwhile.
 */
import type { X509Certificate } from "node:crypto";
import { type AlternativeNames, readAlternativeNames } from "../io/alternative-name.ts";
import { sha256Of } from "../io/tls-facts.ts";
import { type Caller, NOBODY } from "./principal.ts";

export type Peer =
  | {
      readonly at: "plaintext";
      /** "127.0.0.1:51234" */
      readonly address: string;
      /** Whose process it is; undefined: not to be known. */
      readonly uid: number | undefined;
    }
  | {
      readonly at: "tls";
      readonly address: string;
      /** Undefined: it has shown none. */
      readonly certificate: ShownCertificate | undefined;
    };

export interface ShownCertificate {
  /** It led to one of our roots, in force, when it was shown. Else why not: "CERT_HAS_EXPIRED". */
  readonly verdict: "" | string;
  readonly names: AlternativeNames;
  readonly serial: string;
  readonly sha256: string;
  /** Of the whole chain: the last to begin, the first to end. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 of the root that it led to; empty: to none. */
  readonly root: string;
}

/** What a request itself shows. */
export interface ShownCredentials {
  /** "Bearer …" */
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
}

export type Identify = (peer: Peer, shown: ShownCredentials) => Caller;

/** Of a port that asks nobody. */
export const identifyNobody: Identify = ({ address }) => ({ ...NOBODY, address });

const CHAIN_MAX = 8;

/** `verdict` is OpenSSL's about the chain; "": good. */
export function readShownCertificate(leaf: X509Certificate, verdict: string): ShownCertificate {
  const chain = chainOf(leaf);
  const top = chain.at(-1)!;
  return {
    verdict,
    names: readAlternativeNames(leaf.subjectAltName),
    serial: leaf.serialNumber,
    sha256: sha256Of(leaf),
    notBeforeMs: Math.max(...chain.map(({ validFromDate }) => validFromDate.getTime())),
    notAfterMs: Math.min(...chain.map(({ validToDate }) => validToDate.getTime())),
    root: verdict === "" && top.checkIssued(top) ? sha256Of(top) : "",
  };
}

/** From the leaf up, as far as the library found its way. */
function chainOf(leaf: X509Certificate): X509Certificate[] {
  const chain = [leaf];
  for (let above = leaf.issuerCertificate; above !== undefined && chain.length < CHAIN_MAX; ) {
    if (above.fingerprint256 === chain.at(-1)!.fingerprint256) break;
    chain.push(above);
    above = above.issuerCertificate;
  }
  return chain;
}
