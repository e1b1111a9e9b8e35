/**
 * Certificates as operators give them: PEM text of a chain, of its key, of roots. Read and judged
 * as a whole; the answer is all problems, each with its file and line, or something that works.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { Problem, Severity } from "../core/problem.ts";
import { readAlternativeNames } from "./alternative-name.ts";
import { isNamePattern } from "./host-name.ts";
import { sha256Of, subjectOf } from "./tls-facts.ts";

/** Text and where it comes from; for what never was a file a name like "identity". */
export interface PemText {
  readonly file: string;
  readonly text: string;
}

export interface PemPair {
  /** The certificate first, then those that issued it, without the root. */
  readonly certificate: PemText;
  /** Its private key, not encrypted. */
  readonly key: PemText;
}

/** A chain and its key that belong together: what one end of a connection shows. */
export interface KeyedCertificate {
  readonly file: string;
  /** In lower case; may begin with "*.". */
  readonly names: readonly string[];
  /** "spiffe://…" */
  readonly uris: readonly string[];
  /** RFC 4514. */
  readonly subject: string;
  readonly sha256: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Nothing but the blocks that count. */
  readonly chainPem: string;
  readonly keyPem: string;
}

/** Roots that peers' certificates have to lead to. */
export interface TrustBundle {
  readonly file: string;
  readonly pem: string;
  readonly count: number;
}

/** `value` is undefined exactly when one of the problems is an error. */
export interface Judged<T> {
  readonly value: T | undefined;
  readonly problems: readonly Problem[];
}

const RSA_BITS_MIN = 2_048;

/** `nowMs` is the time of day. */
export function parsePair(pair: PemPair, nowMs: number): Judged<KeyedCertificate> {
  const problems: Problem[] = [];
  const chain = readCertificates(pair.certificate, problems);
  const key = readKey(pair.key, problems);
  const [leaf] = chain;
  if (leaf === undefined || key === undefined) return { value: undefined, problems };
  const { file } = pair.certificate;
  if (!leaf.certificate.checkPrivateKey(key.object))
    problems.push(
      problemAt(pair.key, key.line, `the key does not belong to the certificate in ${file}`),
    );
  judgeLeaf(pair.certificate, leaf, nowMs, problems);
  judgeOrder(pair.certificate, chain, problems);
  if (problems.some(({ severity }) => severity === "error")) return { value: undefined, problems };
  const { certificate } = leaf;
  const names = readAlternativeNames(certificate.subjectAltName);
  const value: KeyedCertificate = {
    file,
    names: names.dns.filter(isNamePattern),
    uris: names.uris,
    subject: subjectOf(certificate),
    sha256: sha256Of(certificate),
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
    chainPem: chain.map(({ pem }) => pem).join(""),
    keyPem: key.pem,
  };
  return { value, problems };
}

/** Roots that are out of date or no authorities are left out with a warning. */
export function parseTrustBundle(source: PemText, nowMs: number): Judged<TrustBundle> {
  const problems: Problem[] = [];
  const found = readCertificates(source, problems);
  if (problems.some(({ severity }) => severity === "error")) return { value: undefined, problems };
  const good = found.filter(({ certificate, line }) => {
    const wrong = !certificate.ca
      ? "is not one of an authority (CA:TRUE is missing)"
      : certificate.validToDate.getTime() <= nowMs
        ? `expired at ${certificate.validToDate.toISOString()}`
        : "";
    if (wrong === "") return true;
    const message = `the certificate of ${subjectOf(certificate)} ${wrong}; it is left out`;
    problems.push(problemAt(source, line, message, "warning"));
    return false;
  });
  if (good.length === 0) {
    problems.push(problemAt(source, 0, "no root to trust is left"));
    return { value: undefined, problems };
  }
  const pem = good.map((block) => block.pem).join("");
  return { value: { file: source.file, pem, count: good.length }, problems };
}

interface PemBlock {
  readonly label: string;
  /** With its markers and a newline. */
  readonly pem: string;
  readonly line: number;
}

interface CertificateBlock extends PemBlock {
  readonly certificate: X509Certificate;
}

/** RFC 7468; other text around the blocks is what openssl writes, and is passed over. */
function readBlocks(source: PemText, problems: Problem[]): PemBlock[] {
  const blocks: PemBlock[] = [];
  const lines = source.text.split(/\r?\n/);
  let from = -1;
  let label = "";
  for (const [i, line] of lines.entries()) {
    const marker = /^-----(BEGIN|END) ([A-Z0-9 ]+)-----\s*$/.exec(line);
    if (marker === null) continue;
    const isBegin = marker[1] === "BEGIN";
    if (isBegin ? from !== -1 : from === -1 || marker[2] !== label) {
      problems.push(problemAt(source, i + 1, `this marker is out of place: ${marker[0].trim()}`));
      return [];
    }
    label = marker[2]!;
    if (isBegin) from = i;
    else {
      blocks.push({ label, line: from + 1, pem: `${lines.slice(from, i + 1).join("\n")}\n` });
      from = -1;
    }
  }
  if (from !== -1)
    problems.push(problemAt(source, from + 1, `the end of this ${label} is missing`));
  return from === -1 ? blocks : [];
}

/** At least one, or a problem. */
function readCertificates(source: PemText, problems: Problem[]): CertificateBlock[] {
  const before = problems.length;
  const blocks = readBlocks(source, problems).filter(({ label }) => label === "CERTIFICATE");
  if (blocks.length === 0 && problems.length === before)
    problems.push(problemAt(source, 0, "there is no CERTIFICATE in PEM form in it"));
  return blocks.flatMap((block) => {
    try {
      return [{ ...block, certificate: new X509Certificate(block.pem) }];
    } catch (error) {
      const message = `this certificate cannot be read: ${reasonOf(error)}`;
      problems.push(problemAt(source, block.line, message));
      return [];
    }
  });
}

function readKey(
  source: PemText,
  problems: Problem[],
): (PemBlock & { readonly object: KeyObject }) | undefined {
  const before = problems.length;
  const keys = readBlocks(source, problems).filter(({ label }) => label.endsWith("PRIVATE KEY"));
  if (problems.length > before) return undefined;
  const [key, second] = keys;
  const refuse = (line: number, message: string): undefined => {
    problems.push(problemAt(source, line, message));
  };
  if (key === undefined) return refuse(0, "there is no PRIVATE KEY in PEM form in it");
  if (second !== undefined) return refuse(second.line, "there is more than one key in it");
  if (key.label.startsWith("ENCRYPTED") || key.pem.includes("Proc-Type: 4,ENCRYPTED"))
    return refuse(key.line, "the key is encrypted; nobody is there to type its passphrase");
  try {
    return { ...key, object: createPrivateKey(key.pem) };
  } catch (error) {
    return refuse(key.line, `this key cannot be read: ${reasonOf(error)}`);
  }
}

function judgeLeaf(
  source: PemText,
  { certificate, line }: CertificateBlock,
  nowMs: number,
  problems: Problem[],
): void {
  const { validFromDate, validToDate, publicKey } = certificate;
  const say = (severity: Severity, message: string): void => {
    problems.push(problemAt(source, line, message, severity));
  };
  if (validToDate.getTime() <= nowMs)
    say("error", `the certificate expired at ${validToDate.toISOString()}`);
  if (validFromDate.getTime() > nowMs)
    say("warning", `the certificate is not in force before ${validFromDate.toISOString()}`);
  const bits = publicKey.asymmetricKeyDetails?.modulusLength;
  if (publicKey.asymmetricKeyType === "rsa" && bits !== undefined && bits < RSA_BITS_MIN)
    say("warning", `its RSA key has ${bits} bits; most clients refuse fewer than ${RSA_BITS_MIN}`);
  const { dns, uris, addresses } = readAlternativeNames(certificate.subjectAltName);
  if (dns.length + uris.length + addresses.length === 0)
    say("warning", "the certificate is for no name (subjectAltName); clients will refuse it");
  for (const name of dns)
    if (!isNamePattern(name)) say("warning", `nobody can ask for its name ${JSON.stringify(name)}`);
}

/** Clients find their way to a root by this order; many do not try another. */
function judgeOrder(
  source: PemText,
  chain: readonly CertificateBlock[],
  problems: Problem[],
): void {
  for (const [i, { certificate, line }] of chain.entries()) {
    const below = chain[i - 1]?.certificate;
    if (below === undefined || below.checkIssued(certificate)) continue;
    const message = `${subjectOf(certificate)} did not issue the certificate before it`;
    problems.push(problemAt(source, line, message, "warning"));
  }
}

/** `line` 0: the whole file. */
export function problemAt(
  source: PemText,
  line: number,
  message: string,
  severity: Severity = "error",
): Problem {
  const position = { file: source.file, line, column: line === 0 ? 0 : 1 };
  return { severity, position, path: "", message };
}

/** Of node:crypto: "error:0c00006d:ASN.1 encoding routines:OPENSSL_internal:DECODE_ERROR". */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replace(/^error:.*OPENSSL_internal:/, "")
    .toLowerCase()
    .replaceAll("_", " ");
}
