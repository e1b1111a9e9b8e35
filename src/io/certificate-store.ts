/**
 * The certificates that a port can show, found by the name a client asks for: the very name, else a
 * wildcard for its first label, else the default. Replaced as a whole by one assignment, so that a
 * handshake sees the old set or the new one; connections that stand keep what they began with.
 */
import type { Problem } from "../core/problem.ts";
import { type KeyedCertificate, type PemPair, parsePair } from "./certificate.ts";
import { wildcardOf } from "./host-name.ts";

/** What a port that speaks TLS asks for each handshake. */
export interface CertificateChoice {
  /** For a client that names nobody. */
  readonly default: KeyedCertificate | undefined;
  /** For one that asks for this name, in lower case; "": it asks for nobody. */
  find(serverName: string): KeyedCertificate | undefined;
}

interface Published {
  readonly list: readonly KeyedCertificate[];
  readonly byName: ReadonlyMap<string, KeyedCertificate>;
}

export class CertificateStore implements CertificateChoice {
  #now: Published = { list: [], byName: new Map() };

  /** The first is the default; of two for one name the first is shown. */
  publish(certificates: readonly KeyedCertificate[]): void {
    const byName = new Map<string, KeyedCertificate>();
    for (const certificate of certificates)
      for (const name of certificate.names) if (!byName.has(name)) byName.set(name, certificate);
    this.#now = { list: [...certificates], byName };
  }

  /** One pair that is in no file, instead of all before; errors leave everything as it was. */
  set(pair: PemPair, nowMs: number): readonly Problem[] {
    const { value, problems } = parsePair(pair, nowMs);
    if (value !== undefined) this.publish([value]);
    return problems;
  }

  get certificates(): readonly KeyedCertificate[] {
    return this.#now.list;
  }

  /** For a client that names nobody, or nobody we know. */
  get default(): KeyedCertificate | undefined {
    return this.#now.list[0];
  }

  /** Of a certificate for that name, never the default. */
  find(serverName: string): KeyedCertificate | undefined {
    const { byName } = this.#now;
    return byName.get(serverName) ?? byName.get(wildcardOf(serverName));
  }

  /** When the first of them expires, as time of day; infinity when there is none. */
  get earliestExpiryMs(): number {
    return Math.min(...this.#now.list.map(({ notAfterMs }) => notAfterMs));
  }
}
