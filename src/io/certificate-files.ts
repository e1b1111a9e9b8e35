/**
 * Certificates in files, read again when they change. A pair is taken as a whole or not at all:
 * while a file is bad, or half of a pair is already new, what was good before goes on being shown,
 * and the problems are told.
 */
import { readFileSync, statSync } from "node:fs";
import type { Clock } from "../core/clock.ts";
import type { Problem } from "../core/problem.ts";
import {
  type Judged,
  type KeyedCertificate,
  type PemText,
  parsePair,
  parseTrustBundle,
  problemAt,
  type TrustBundle,
} from "./certificate.ts";
import type { CertificateStore } from "./certificate-store.ts";
import { type FileWatch, type FileWatchOptions, watchFiles } from "./file-watch.ts";

export interface PairPaths {
  /** The chain in PEM. */
  readonly certificate: string;
  /** May be the same file. */
  readonly key: string;
}

export interface CertificateFilesOptions {
  /** The first is the default of `store`. */
  readonly pairs: readonly PairPaths[];
  /** Roots for peers' certificates. */
  readonly trust?: string;
  readonly clock: Clock;
  readonly store: CertificateStore;
  /** After each later reading, with what is wrong now: none says that all is well again. */
  readonly onReload: (problems: readonly Problem[]) => void;
  readonly watch?: Pick<FileWatchOptions, "settleMs" | "pollMs">;
}

const FILE_BYTES_MAX = 4 << 20;

export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  /** The last good form of each pair. */
  readonly #good: (KeyedCertificate | undefined)[];
  readonly #watch: FileWatch;
  #trust: TrustBundle | undefined;
  #problems: readonly Problem[];

  /** Reads at once: see `problems`, and `isUsable` for whether a start makes sense. */
  constructor(options: CertificateFilesOptions) {
    this.#options = options;
    this.#good = options.pairs.map(() => undefined);
    // Watched before they are read: no change falls in between.
    this.#watch = watchFiles({
      ...options.watch,
      paths: pathsOf(options),
      accepts: () => true,
      onChange: () => options.onReload(this.reload()),
    });
    this.#problems = this.reload();
  }

  /** As of the last reading. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** The roots read last without an error; undefined: none were asked for, or none were good. */
  get trust(): TrustBundle | undefined {
    return this.#trust;
  }

  /** Every pair has a good form, and so have the roots, be it an old one. */
  get isUsable(): boolean {
    const hasTrust = this.#options.trust === undefined || this.#trust !== undefined;
    return hasTrust && this.#good.every((certificate) => certificate !== undefined);
  }

  /** Reads everything now, whatever the watch says. */
  reload(): readonly Problem[] {
    const { pairs, trust, store, clock } = this.#options;
    const nowMs = clock.wallMs();
    const problems: Problem[] = [];
    for (const [i, paths] of pairs.entries()) {
      const { value, problems: found } = readPair(paths, nowMs);
      problems.push(...found);
      if (value !== undefined) this.#good[i] = value;
    }
    if (trust !== undefined) {
      const { value, problems: found } = readTrust(trust, nowMs);
      problems.push(...found);
      if (value !== undefined) this.#trust = value;
    }
    store.publish(this.#good.filter((certificate) => certificate !== undefined));
    this.#problems = problems;
    return problems;
  }

  close(): void {
    this.#watch.close();
  }
}

function pathsOf({ pairs, trust }: CertificateFilesOptions): string[] {
  const paths = pairs.flatMap(({ certificate, key }) => [certificate, key]);
  return [...new Set(trust === undefined ? paths : [...paths, trust])];
}

function readPair(paths: PairPaths, nowMs: number): Judged<KeyedCertificate> {
  const problems: Problem[] = [];
  const certificate = readText(paths.certificate, problems);
  const key = paths.key === paths.certificate ? certificate : readText(paths.key, problems);
  if (certificate === undefined || key === undefined) return { value: undefined, problems };
  return parsePair({ certificate, key }, nowMs);
}

/** Roots for outgoing connections, read once. */
export function readTrust(path: string, nowMs: number): Judged<TrustBundle> {
  const problems: Problem[] = [];
  const source = readText(path, problems);
  return source === undefined ? { value: undefined, problems } : parseTrustBundle(source, nowMs);
}

function readText(file: string, problems: Problem[]): PemText | undefined {
  try {
    const { size } = statSync(file);
    if (size <= FILE_BYTES_MAX) return { file, text: readFileSync(file, "latin1") };
    problems.push(problemAt({ file, text: "" }, 0, `it is larger than ${FILE_BYTES_MAX} bytes`));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    problems.push(problemAt({ file, text: "" }, 0, `it cannot be read (${code})`));
  }
  return undefined;
}
