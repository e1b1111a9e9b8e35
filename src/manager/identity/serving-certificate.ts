/**
 * The manager's own certificate, of the same authority: one SPIFFE id like everybody's, and beside
 * it the names and addresses by which clients reach it. A new one at half its life, and whenever
 * another authority signs.
 */
import { generateKeyPairSync } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatSpiffeId } from "../../core/spiffe-id.ts";
import { isIP } from "../../http/ip-literal.ts";
import type { Authority, SignedLeaf } from "./authority.ts";
import { publicKeyOf } from "./certificate-issue.ts";
import { SIDECAR } from "./grant.ts";
import type { IssuedLog } from "./issued-log.ts";
import type { AlternativeName } from "./subject-alt-name.ts";

export interface ServingCredential {
  /** PEM: leaf first, without roots. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** PEM, one certificate each: all that are trusted now. */
  readonly rootPems: readonly string[];
}

export interface ServingOptions {
  readonly authority: Authority;
  readonly issued: IssuedLog;
  readonly clock: Clock;
  readonly log: Log;
  /** Names and addresses beside the ones that every manager has. */
  readonly hosts: readonly string[];
}

export const MANAGER_NAMESPACE = "mesh-system";
const ACCOUNT = "mesh-manager";
/** By the second, clients that speak TLS verify whichever manager answers. */
const HOSTS: readonly string[] = [
  "localhost",
  `${ACCOUNT}.${MANAGER_NAMESPACE}.svc`,
  `${ACCOUNT}.${MANAGER_NAMESPACE}`,
  "127.0.0.1",
  "::1",
];
const DNS_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const RETRY_MS = 60_000;

export class ServingCertificate {
  readonly #options: ServingOptions;
  readonly #listeners = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #credential: ServingCredential;
  #signer = "";
  #cancel: () => void = () => {};

  /** Throws what Authority.sign throws. */
  constructor(options: ServingOptions) {
    this.#options = options;
    this.#credential = this.#issue();
    this.#unsubscribe = options.authority.onChange(() => this.#follow());
  }

  current(): ServingCredential {
    return this.#credential;
  }

  /** At every change of the certificate or of the roots. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#cancel();
    this.#unsubscribe();
  }

  /** Roots changed, and with them perhaps who signs. */
  #follow(): void {
    const { authority } = this.#options;
    if (signerOf(authority) === this.#signer) {
      this.#credential = { ...this.#credential, rootPems: authority.roots };
      this.#tell();
    } else this.#renew();
  }

  #renew(): void {
    try {
      this.#credential = this.#issue();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log.error("the manager's own certificate cannot be renewed", { reason });
      this.#wait(RETRY_MS);
    }
    this.#tell();
  }

  #issue(): ServingCredential {
    const { authority, issued, clock } = this.#options;
    const { trustDomain, store } = authority.options;
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const id = { trustDomain, namespace: MANAGER_NAMESPACE, account: ACCOUNT };
    const identity = formatSpiffeId(id);
    const names = [{ kind: "uri", value: identity } as const, ...hostNames(this.#options.hosts)];
    const request = { publicKey: publicKeyOf(privateKey), names };
    const nowMs = clock.wallMs();
    const leaf = store.transaction((): SignedLeaf => {
      const signed = authority.sign({ ...request, lifetimeMs: Number.POSITIVE_INFINITY });
      const { serial, notAfterMs } = signed;
      const record = { serial, identity, notAfterMs, issuedMs: nowMs, by: "itself", address: "" };
      issued.record(record, { ...SIDECAR, services: [], origin: "" });
      return signed;
    });
    this.#signer = signerOf(authority);
    this.#wait((leaf.notAfterMs - nowMs) / 2);
    const keyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { chainPem: leaf.chainPem, keyPem, rootPems: authority.roots };
  }

  #wait(ms: number): void {
    this.#cancel();
    this.#cancel = this.#options.clock.after(ms, () => this.#renew());
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Of the certificate that signs, and of what it is sent with. */
function signerOf({ rows: [active] }: Authority): string {
  return active === undefined ? "" : `${active.fingerprint} ${active.above}`;
}

/** Each once; what is neither a name nor an address is left out. */
function hostNames(hosts: readonly string[]): readonly AlternativeName[] {
  const all = new Set([...HOSTS, hostname(), ...hosts].map((host) => host.toLowerCase()));
  return [...all].flatMap((value): AlternativeName[] => {
    if (isIP(value)) return [{ kind: "ip", value }];
    return DNS_NAME.test(value) ? [{ kind: "dns", value }] : [];
  });
}
