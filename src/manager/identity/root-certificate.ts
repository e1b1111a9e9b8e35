/** A new root of our own: P-256, named so that no two roots of a mesh have the same name. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { keyIdOf } from "./certificate-fields.ts";
import {
  type CertificateTemplate,
  type Issuer,
  issueCertificate,
  publicKeyOf,
  selfSign,
  subjectName,
} from "./certificate-issue.ts";

export interface NewRoot {
  readonly certificate: string;
  /** The same key and name, signed by `former`: for those who know that one only. Or empty. */
  readonly byFormer: string;
  readonly key: KeyObject;
}

/** What still signs, and how long it is good. */
export interface FormerRoot {
  readonly issuer: Issuer;
  readonly notAfterMs: number;
}

/** Clocks differ. */
const BACKDATED_MS = 3_600_000;
/** RFC 5280, appendix A.1: ub-organization-name. */
const ORGANIZATION_MAX = 64;

export function createRoot(
  trustDomain: string,
  { nowMs, lifetimeMs }: { readonly nowMs: number; readonly lifetimeMs: number },
  former?: FormerRoot,
): NewRoot {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const publicKey = publicKeyOf(privateKey);
  const name = `Mesh root ${keyIdOf(publicKey).toString("hex", 0, 4)}`;
  const template: CertificateTemplate = {
    publicKey,
    notBeforeMs: nowMs - Math.min(BACKDATED_MS, lifetimeMs / 2),
    notAfterMs: nowMs + lifetimeMs,
    authority: subjectName(trustDomain.slice(0, ORGANIZATION_MAX), name),
  };
  const certificate = selfSign(template, privateKey).pem;
  if (former === undefined) return { certificate, byFormer: "", key: privateKey };
  const notAfterMs = Math.min(template.notAfterMs, former.notAfterMs);
  const byFormer = issueCertificate({ ...template, notAfterMs }, former.issuer).pem;
  return { certificate, byFormer, key: privateKey };
}
