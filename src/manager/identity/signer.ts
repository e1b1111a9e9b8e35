/** An authority that can sign here: its key is at hand. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { AuthorityRow } from "./authority-table.ts";
import { issuerNameOf } from "./certificate-fields.ts";
import type { Issuer } from "./certificate-issue.ts";
import type { KeySeal } from "./key-seal.ts";

export interface Signer {
  readonly issuer: Issuer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** What is sent below a leaf: PEM, without roots. */
  readonly chain: string;
}

/** Text: why it cannot, for operators. `fileKey`: of the authority in files, if it is this one. */
export function signerOf(
  row: AuthorityRow,
  seal: KeySeal,
  fileKey: KeyObject | undefined,
): Signer | string {
  const certificate = new X509Certificate(row.certificate);
  const name = issuerNameOf(certificate);
  const key = row.sealedKey === null ? fileKey : unsealedKey(row, row.sealedKey, seal);
  if (key === undefined || name === undefined)
    return row.sealedKey === null
      ? "certificates are signed by an authority in files, and this manager has none of it: " +
          "start it with --ca-dir"
      : "the authority's key was sealed with another key: name its file with --ca-key-file";
  const isRoot = row.roots.includes(row.certificate.trim());
  return {
    issuer: { ...name, key },
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
    chain: (isRoot ? "" : row.certificate) + row.above,
  };
}

export function sealKey(key: KeyObject, fingerprint: string, seal: KeySeal): Uint8Array {
  return seal.seal(key.export({ type: "pkcs8", format: "der" }), fingerprint);
}

function unsealedKey(row: AuthorityRow, sealed: Uint8Array, seal: KeySeal): KeyObject | undefined {
  const bytes = seal.open(Buffer.from(sealed), row.fingerprint);
  if (bytes === undefined) return undefined;
  return createPrivateKey({ key: bytes, type: "pkcs8", format: "der" });
}
