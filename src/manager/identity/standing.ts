/**
 * What a workload's certificate is good for here, and for how long: no longer than its root is
 * trusted, and than nobody has revoked the join token that it goes back to, however often it was
 * renewed since. Whoever goes on for long is told when that may have changed.
 *
 *   a token is revoked, here or at another manager ┐
 *                                                  ├─▶ onChange ─▶ lapseOf, by whoever goes on
 *   a root is trusted no more ─────────────────────┘
 */
import type { PeerCertificate } from "../../api/principal.ts";
import { parseSpiffeId } from "../../core/spiffe-id.ts";
import { sha256Of } from "../../io/tls-facts.ts";
import type { Authority } from "./authority.ts";
import { type Grant, SIDECAR } from "./grant.ts";
import type { IssuedLog } from "./issued-log.ts";
import type { JoinTokens } from "./join-tokens.ts";
import { certificatesOf } from "./trusted-roots.ts";

export interface StandingParts {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly issued: IssuedLog;
  /** "default/edge": accounts whose workloads may be gateways, whatever they joined by. */
  readonly gatewayAccounts: ReadonlySet<string>;
}

export class Standing {
  readonly #parts: StandingParts;
  readonly #listeners = new Set<() => void>();
  readonly #stop: readonly (() => void)[];
  #roots: ReadonlySet<string>;
  #revoked: ReadonlySet<string>;

  constructor(parts: StandingParts) {
    const { authority, tokens } = parts;
    this.#parts = parts;
    this.#roots = fingerprintsOf(authority.roots);
    this.#revoked = tokens.revoked();
    this.#stop = [
      authority.onChange(() => this.#rootsChanged()),
      authority.onForeignChange(() => this.#reread()),
      tokens.onRevoke(() => this.#reread()),
    ];
  }

  /** SHA-256 of those that are trusted now, hexadecimal. */
  get roots(): ReadonlySet<string> {
    return this.#roots;
  }

  /** "reviews.default": those that a certificate in force of this identity was issued for. */
  servicesOf(identity: string): readonly string[] {
    return this.#parts.issued.servicesOf(identity);
  }

  /** What was issued by somebody else, with keys of the same authority, is a sidecar's. */
  grantOf(identity: string, { serial }: PeerCertificate): Grant {
    const grant = this.#parts.issued.grantOf(serial) ?? SIDECAR;
    return this.mayBeGateway(identity) ? { ...grant, mode: "gateway" } : grant;
  }

  /** By its account alone. */
  mayBeGateway(identity: string): boolean {
    const id = parseSpiffeId(identity);
    return id !== undefined && this.#parts.gatewayAccounts.has(`${id.namespace}/${id.account}`);
  }

  /** Id of the join token that it goes back to; "": none. */
  originOf({ serial }: PeerCertificate): string {
    return this.#parts.issued.grantOf(serial)?.origin ?? "";
  }

  isRevoked(origin: string): boolean {
    return this.#revoked.has(origin);
  }

  /** Why it counts no more, as a sentence; undefined: it does, until it expires. */
  lapseOf(certificate: PeerCertificate): string | undefined {
    if (!this.#roots.has(certificate.root)) return "the certificate's root is trusted no more";
    const origin = this.originOf(certificate);
    if (!this.isRevoked(origin)) return undefined;
    return `join token ${origin}, by which it came, was revoked`;
  }

  /** Calls back when what was in force may be no more. */
  onChange(listener: () => void): () => void {
    const entry = (): void => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  close(): void {
    for (const stop of this.#stop) stop();
  }

  #rootsChanged(): void {
    this.#roots = fingerprintsOf(this.#parts.authority.roots);
    this.#tell();
  }

  #reread(): void {
    const revoked = this.#parts.tokens.revoked();
    const isSame = revoked.size === this.#revoked.size && revoked.isSubsetOf(this.#revoked);
    this.#revoked = revoked;
    if (!isSame) this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function fingerprintsOf(pems: readonly string[]): ReadonlySet<string> {
  return new Set(certificatesOf(pems.join("")).map(sha256Of));
}
