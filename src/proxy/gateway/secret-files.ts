/**
 * The certificates that a gateway has, by the names that rules give them: "my-secret.default" is
 * `DIR/default/my-secret/tls.crt` and `tls.key`, as a Kubernetes Secret of type TLS is mounted; and
 * `ca.crt`, where clients are asked for certificates: what theirs have to lead to.
 *
 *   use(names) ─▶ read, watched ─▶ find(name): the last good form, for the next handshake
 *
 * One that is missing or bad is said, and the server names that it is for are refused until it is
 * there; nothing else suffers from it.
 */
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatProblem, type Problem } from "../../core/problem.ts";
import type { KeyedCertificate, TrustBundle } from "../../io/certificate.ts";
import { CertificateFiles } from "../../io/certificate-files.ts";
import { CertificateStore } from "../../io/certificate-store.ts";
import type { FileWatchOptions } from "../../io/file-watch.ts";
import type { TrustByCertificate } from "../../io/tls-settings.ts";
import type { MetricScope, Metrics } from "../../telemetry/metrics.ts";

export interface SecretFilesParts {
  /** Undefined: there are none. */
  readonly directory: string | undefined;
  /** `ca.crt` is needed too. */
  readonly asksClients: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly watch?: Pick<FileWatchOptions, "settleMs" | "pollMs">;
}

interface Secret {
  readonly store: CertificateStore;
  readonly files: CertificateFiles;
  readonly scope: MetricScope;
}

/** No directory of its own, and none above. */
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

export class SecretFiles implements TrustByCertificate {
  readonly #parts: SecretFilesParts;
  readonly #secrets = new Map<string, Secret>();
  /** Told of already. */
  readonly #nowhere = new Set<string>();

  constructor(parts: SecretFilesParts) {
    this.#parts = parts;
  }

  /** These and no others are followed from now on. */
  use(names: ReadonlySet<string>): void {
    for (const [name, secret] of this.#secrets) {
      if (names.has(name)) continue;
      close(secret);
      this.#secrets.delete(name);
    }
    for (const name of this.#nowhere) if (!names.has(name)) this.#nowhere.delete(name);
    for (const name of names) if (!this.#secrets.has(name)) this.#follow(name);
  }

  find(name: string): KeyedCertificate | undefined {
    return this.#secrets.get(name)?.store.default;
  }

  /** For clients that were shown this one. */
  trustFor(certificate: KeyedCertificate): TrustBundle | undefined {
    for (const { store, files } of this.#secrets.values())
      if (store.default === certificate) return files.trust;
    return undefined;
  }

  close(): void {
    this.use(new Set());
  }

  #follow(name: string): void {
    const place = this.#placeOf(name);
    if (place === undefined) return;
    const { clock, metrics, watch, asksClients } = this.#parts;
    const store = new CertificateStore();
    const scope = metrics.scope();
    const expiry = scope.gauge(
      "mesh_certificate_expiration_timestamp_seconds",
      "When the certificate expires, since 1970; 0: there is none.",
      { certificate: name },
      "min",
    );
    const read = (problems: readonly Problem[], again: boolean): void => {
      const { notAfterMs = 0 } = store.default ?? {};
      expiry.set(Math.floor(notAfterMs / 1_000));
      this.#say(name, problems, { has: store.default !== undefined, again });
    };
    const files = new CertificateFiles({
      pairs: [{ certificate: join(place, "tls.crt"), key: join(place, "tls.key") }],
      ...(asksClients && { trust: join(place, "ca.crt") }),
      clock,
      store,
      onReload: (problems) => read(problems, true),
      ...(watch && { watch }),
    });
    this.#secrets.set(name, { store, files, scope });
    read(files.problems, false);
  }

  /** "my.secret.default" is in default/my.secret. */
  #placeOf(name: string): string | undefined {
    const { directory, log } = this.#parts;
    const dot = name.lastIndexOf(".");
    const segments = [name.slice(dot + 1), name.slice(0, Math.max(dot, 0))] as const;
    const isPlace = dot > 0 && segments.every((segment) => SEGMENT.test(segment));
    if (directory !== undefined && isPlace) return join(directory, ...segments);
    if (this.#nowhere.has(name)) return undefined;
    this.#nowhere.add(name);
    const why = isPlace ? "--certificates DIR is not given" : "it is not called NAME.NAMESPACE";
    log.warn("no certificate; its server names are refused", { certificate: name, why });
    return undefined;
  }

  #say(
    name: string,
    problems: readonly Problem[],
    { has, again }: { readonly has: boolean; readonly again: boolean },
  ): void {
    const { log } = this.#parts;
    const errors = problems.filter(({ severity }) => severity === "error");
    for (const problem of problems) {
      const fields = { certificate: name, problem: formatProblem(problem) };
      if (problem.severity !== "error") log.warn("certificate", fields);
      else if (has) log.warn("certificate refused; the last good one stays", fields);
      else log.warn("no certificate; its server names are refused", fields);
    }
    if (again && errors.length === 0) log.info("certificate read anew", { certificate: name });
  }
}

function close({ files, scope }: Secret): void {
  files.close();
  scope.retire();
}
