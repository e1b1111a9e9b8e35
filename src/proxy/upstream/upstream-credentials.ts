/**
 * Certificates for connections that the proxy secures itself: roots to believe, and its own to
 * show, from files that configurations name. Read at the first use, watched, and forgotten when no
 * configuration names them any more.
 *
 * What cannot be read is said, and fails the connections that need it, never the configuration: one
 * service's missing file is nobody else's trouble. Without roots nobody is believed.
 */
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatProblem, type Problem } from "../../core/problem.ts";
import { CertificateFiles } from "../../io/certificate-files.ts";
import { CertificateStore } from "../../io/certificate-store.ts";
import type { FileWatchOptions } from "../../io/file-watch.ts";
import { systemTrust, type TrustSource } from "../../io/tls-settings.ts";

/** Paths; empty: none. */
export interface CredentialPaths {
  /** Empty: the system's roots. */
  readonly caCertificates: string;
  readonly clientCertificate: string;
  readonly privateKey: string;
}

export interface Credentials {
  readonly roots: TrustSource;
  /** Undefined: none is shown. */
  readonly certificates: CertificateStore | undefined;
}

export interface UpstreamCredentialsParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly watch?: Pick<FileWatchOptions, "settleMs" | "pollMs">;
}

interface Open extends Credentials {
  readonly files: CertificateFiles;
}

export class UpstreamCredentials {
  readonly #parts: UpstreamCredentialsParts;
  readonly #open = new Map<string, Open>();
  #system: TrustSource | undefined = undefined;

  constructor(parts: UpstreamCredentialsParts) {
    this.#parts = parts;
  }

  /** The same object for the same paths, as long as they are kept. */
  of(paths: CredentialPaths): Credentials {
    const { caCertificates, clientCertificate, privateKey } = paths;
    if (caCertificates === "" && clientCertificate === "") return this.#bySystem();
    const key = keyOf(paths);
    const open = this.#open.get(key) ?? this.#read(caCertificates, clientCertificate, privateKey);
    this.#open.set(key, open);
    return open;
  }

  /** Forgets what is not among these. */
  keep(paths: readonly CredentialPaths[]): void {
    const wanted = new Set(paths.map(keyOf));
    for (const [key, { files }] of this.#open) {
      if (wanted.has(key)) continue;
      files.close();
      this.#open.delete(key);
    }
  }

  close(): void {
    this.keep([]);
  }

  #bySystem(): Credentials {
    this.#system ??= systemTrust();
    return { roots: this.#system, certificates: undefined };
  }

  #read(trust: string, certificate: string, key: string): Open {
    const store = new CertificateStore();
    const files = new CertificateFiles({
      pairs: certificate === "" ? [] : [{ certificate, key }],
      ...(trust !== "" && { trust }),
      clock: this.#parts.clock,
      store,
      onReload: (problems) => this.#say(problems),
      ...(this.#parts.watch && { watch: this.#parts.watch }),
    });
    this.#say(files.problems);
    return {
      files,
      roots: trust === "" ? this.#bySystem().roots : files,
      certificates: certificate === "" ? undefined : store,
    };
  }

  #say(problems: readonly Problem[]): void {
    for (const problem of problems)
      this.#parts.log.warn("certificate for upstream connections", {
        problem: formatProblem(problem),
      });
  }
}

function keyOf({ caCertificates, clientCertificate, privateKey }: CredentialPaths): string {
  return JSON.stringify([caCertificates, clientCertificate, privateKey]);
}
