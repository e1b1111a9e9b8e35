/**
 * An authority that the operator brings: a certificate that may sign, its key, what lies between it
 * and the roots, and the roots. In the names that Istio's secret `cacerts` has, or those of a
 * Kubernetes TLS secret. Watched: what was good before stays while files are bad or half written.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type FileWatch, watchFiles } from "../../io/file-watch.ts";
import { sha256Of } from "../../io/tls-facts.ts";
import { canSign } from "./certificate-issue.ts";

export interface FileAuthority {
  /** Of the certificate that signs: SHA-256, hexadecimal. */
  readonly fingerprint: string;
  readonly certificate: string;
  /** Between it and the roots, the nearest first; PEM. */
  readonly above: string;
  /** PEM. */
  readonly roots: readonly string[];
  readonly key: KeyObject;
}

export type FileAuthorityResult =
  | { readonly at: "authority"; readonly authority: FileAuthority }
  | { readonly at: "refused"; readonly why: string };

interface FileNames {
  readonly certificate: string;
  readonly key: string;
  readonly chain: string;
  readonly roots: string;
}

const LAYOUTS: readonly FileNames[] = [
  {
    certificate: "ca-cert.pem",
    key: "ca-key.pem",
    chain: "cert-chain.pem",
    roots: "root-cert.pem",
  },
  { certificate: "tls.crt", key: "tls.key", chain: "tls.crt", roots: "ca.crt" },
];
const FILE_BYTES_MAX = 1 << 20;
const DEPTH_MAX = 8;
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export class AuthorityFiles {
  readonly #directory: string;
  readonly #watch: FileWatch;
  #current: FileAuthority;
  #listener: () => void = () => {};

  /** Throws a sentence where there is nothing to begin with. */
  constructor(directory: string, nowMs: () => number, warn: (message: string) => void) {
    this.#directory = directory;
    const first = readFileAuthority(directory, nowMs());
    if (first.at === "refused") throw new Error(first.why);
    this.#current = first.authority;
    this.#watch = watchFiles({
      paths: [directory],
      accepts: () => true,
      onChange: () => {
        const read = readFileAuthority(this.#directory, nowMs());
        if (read.at === "refused") return warn(`${read.why}; the former authority goes on`);
        this.#current = read.authority;
        this.#listener();
      },
    });
  }

  get current(): FileAuthority {
    return this.#current;
  }

  /** One listener. */
  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#watch.close();
  }
}

export function readFileAuthority(directory: string, nowMs: number): FileAuthorityResult {
  const names = LAYOUTS.find(({ certificate }) => existsSync(join(directory, certificate)));
  if (names === undefined) return refused(`${directory}: neither ca-cert.pem nor tls.crt is in it`);
  try {
    return judge(directory, names, nowMs);
  } catch (error) {
    return refused(`${directory}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function refused(why: string): FileAuthorityResult {
  return { at: "refused", why };
}

/** Throws what node:fs and node:crypto throw. */
function judge(directory: string, names: FileNames, nowMs: number): FileAuthorityResult {
  const say = (file: string, why: string): FileAuthorityResult =>
    refused(`${join(directory, file)}: ${why}`);
  const [certificate] = certificatesIn(directory, names.certificate);
  if (certificate === undefined) return say(names.certificate, "no certificate is in it");
  const key = createPrivateKey(textOf(directory, names.key));
  if (!certificate.checkPrivateKey(key))
    return say(names.key, `it is not the key of ${names.certificate}`);
  if (!canSign(key)) return say(names.key, "P-256, P-384 and RSA from 2048 bits on can sign");
  if (!certificate.ca) return say(names.certificate, "it is not one of an authority (CA:TRUE)");
  if (certificate.validToDate.getTime() <= nowMs)
    return say(names.certificate, `it expired at ${certificate.validToDate.toISOString()}`);
  const roots = certificatesIn(directory, names.roots).filter(({ ca }) => ca);
  if (roots.length === 0) return say(names.roots, "no root is in it");
  const pool = existsSync(join(directory, names.chain))
    ? certificatesIn(directory, names.chain)
    : [];
  const above = pathToRoot(certificate, pool, roots);
  if (above === undefined)
    return say(names.chain, `nothing leads from ${names.certificate} to ${names.roots}`);
  const authority: FileAuthority = {
    fingerprint: sha256Of(certificate),
    certificate: certificate.toString(),
    above: above.map(String).join(""),
    roots: roots.map(String),
    key,
  };
  return { at: "authority", authority };
}

/** What lies between; empty where a root signed it, or it is a root itself. */
function pathToRoot(
  from: X509Certificate,
  pool: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): readonly X509Certificate[] | undefined {
  const path: X509Certificate[] = [];
  let at = from;
  while (path.length <= DEPTH_MAX) {
    const one = at;
    const isSigner = (other: X509Certificate): boolean =>
      one.checkIssued(other) && one.verify(other.publicKey);
    if (roots.some((root) => root.raw.equals(one.raw) || isSigner(root))) return path;
    const next = pool.find((other) => !other.raw.equals(one.raw) && isSigner(other));
    if (next === undefined) return undefined;
    path.push(next);
    at = next;
  }
  return undefined;
}

function certificatesIn(directory: string, file: string): X509Certificate[] {
  const blocks = textOf(directory, file).match(BLOCK) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function textOf(directory: string, file: string): string {
  const path = join(directory, file);
  if (statSync(path).size > FILE_BYTES_MAX)
    throw new Error(`${file} is larger than ${FILE_BYTES_MAX} bytes`);
  return readFileSync(path, "latin1");
}
