/** `/certs`: who this proxy is, until when, and whom it believes. There are no keys in it. */
import { json } from "../../api/admin-page.ts";
import type { TrustBundle } from "../../api/gen/mesh/v1/identity_pb.ts";
import { type CertificateFacts, describeCertificates } from "../../io/certificate-facts.ts";
import type { CredentialStatus } from "../identity/workload-credential.ts";
import type { Page } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";

export const certificatePage: Page = {
  path: "/certs",
  method: "GET",
  about: "this workload's certificate, its chain, when it is renewed; roots that are believed",
  answer: (view) => json(certificateView(view)),
};

export interface CertificateView {
  /** "spiffe://…"; "": there is none. */
  readonly identity: string;
  readonly chain: readonly CertificateLine[];
  readonly renewsAt: string;
  readonly renewals: number;
  readonly failures: number;
  readonly lastFailure: string;
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly roots: readonly CertificateLine[];
}

export interface CertificateLine {
  readonly uris: readonly string[];
  readonly subject: string;
  readonly issuer: string;
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly sha256: string;
}

export function certificateView({ credential, config }: ProxyView): CertificateView {
  const status: Partial<CredentialStatus> = credential() ?? {};
  const { certificate, renewsAtMs, renewals = 0, failures = 0, fault = "" } = status;
  const trust: Partial<TrustBundle> = config()?.trust ?? {};
  return {
    identity: certificate?.uris[0] ?? "",
    chain: describeCertificates(certificate?.chainPem ?? "").map(lineOf),
    renewsAt: certificate === undefined || renewsAtMs === undefined ? "" : timeOf(renewsAtMs),
    renewals,
    failures,
    lastFailure: fault,
    trustDomain: trust.trustDomain ?? "",
    trustDomainAliases: trust.trustDomainAliases ?? [],
    roots: (trust.rootPems ?? []).flatMap(describeCertificates).map(lineOf),
  };
}

function lineOf(facts: CertificateFacts): CertificateLine {
  const { uris, subject, issuer, serial, sha256, notBeforeMs, notAfterMs } = facts;
  const times = { notBefore: timeOf(notBeforeMs), notAfter: timeOf(notAfterMs) };
  return { uris, subject, issuer, serial, ...times, sha256 };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
