/** What a proxy says of its certificate, as tables. It may be of another version. */
import { isRecord } from "../../core/record.ts";
import { harmless } from "../terminal.ts";
import { whenText } from "../token-input.ts";
import type { Table } from "./config-table.ts";

interface CertificateRow {
  /** Its SPIFFE ids, or else its subject. */
  readonly name: string;
  readonly serial: string;
  readonly notAfter: string;
  readonly sha256: string;
}

export interface CertificatePage {
  /** As it came. */
  readonly json: unknown;
  /** Empty: it has no certificate. */
  readonly identity: string;
  readonly trustDomain: string;
  readonly renewsAt: string;
  readonly lastFailure: string;
  readonly chain: readonly CertificateRow[];
  readonly roots: readonly CertificateRow[];
}

/** Undefined: it is nothing that `/certs` answers. */
export function readCertificatePage(body: string): CertificatePage | undefined {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!isRecord(json) || !Array.isArray(json.chain) || !Array.isArray(json.roots)) return undefined;
  return {
    json,
    identity: textOf(json.identity),
    trustDomain: textOf(json.trustDomain),
    renewsAt: textOf(json.renewsAt),
    lastFailure: textOf(json.lastFailure),
    chain: json.chain.map(rowOf),
    roots: json.roots.map(rowOf),
  };
}

export function certificateTables(page: CertificatePage, nowMs: number): readonly Table[] {
  const headers = ["CERTIFICATE", "UNTIL", "EXPIRES", "SERIAL", "SHA-256"];
  const rows = (list: readonly CertificateRow[]): readonly (readonly string[])[] =>
    list.map(({ name, serial, notAfter, sha256 }) => [
      harmless(name) || "-",
      harmless(notAfter) || "-",
      Number.isNaN(Date.parse(notAfter)) ? "-" : whenText(BigInt(Date.parse(notAfter)), nowMs),
      harmless(serial) || "-",
      harmless(sha256).slice(0, 16) || "-",
    ]);
  const { identity, renewsAt, lastFailure, trustDomain } = page;
  const renewal = renewsAt === "" ? "" : `, renewed at ${renewsAt}`;
  const failure = lastFailure === "" ? "" : `; the last attempt failed: ${lastFailure}`;
  const who = identity === "" ? "no certificate" : identity;
  return [
    { title: harmless(`${who}${renewal}${failure}`), headers, rows: rows(page.chain) },
    { title: `trusts, of ${harmless(trustDomain) || "nobody"}`, headers, rows: rows(page.roots) },
  ];
}

function rowOf(value: unknown): CertificateRow {
  const { uris, subject, serial, notAfter, sha256 } = isRecord(value) ? value : {};
  const names = Array.isArray(uris) ? uris.map(textOf).join(" ") : "";
  return {
    name: names || textOf(subject),
    serial: textOf(serial),
    notAfter: textOf(notAfter),
    sha256: textOf(sha256),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
