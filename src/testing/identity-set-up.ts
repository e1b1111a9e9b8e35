/** The identity part of a manager, with a clock moved by hand and an audit log to look at. */

import { Log } from "../core/log.ts";
import { createCertificateRequest } from "../io/certificate-request.ts";
import type { AuthorityFiles } from "../manager/identity/authority-files.ts";
import { Identity } from "../manager/identity/identity.ts";
import { IdentityStore } from "../manager/identity/identity-store.ts";
import type { IssueAudit, IssueCall, JwtAuthenticator } from "../manager/identity/issuance.ts";
import { KeySeal } from "../manager/identity/key-seal.ts";
import { MEMORY } from "../manager/store/database.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface IdentityParts {
  /** In memory unless told. */
  readonly path?: string;
  readonly seal?: KeySeal;
  readonly clock?: VirtualClock;
  readonly leafLifetimeMs?: number;
  readonly rootLifetimeMs?: number;
  readonly files?: AuthorityFiles;
  readonly jwts?: readonly JwtAuthenticator[];
  readonly hosts?: readonly string[];
  readonly gatewayAccounts?: readonly string[];
  readonly aliases?: () => readonly string[];
  /** Gets what is noted, too. */
  readonly audit?: IssueAudit;
}

export type AuditLine = Parameters<IssueAudit["record"]>[0];

export interface IdentitySetUp {
  readonly identity: Identity;
  readonly clock: VirtualClock;
  readonly seal: KeySeal;
  /** Oldest first. */
  readonly audit: readonly AuditLine[];
  /** In a few words: "issued", or the refusal's kind and reason. */
  issue(call: Partial<IssueCall>): Promise<string>;
  close(): void;
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

export function openIdentity(parts: IdentityParts = {}): IdentitySetUp {
  const { clock = new VirtualClock(Date.now()), seal = KeySeal.random() } = parts;
  const store = new IdentityStore(parts.path ?? MEMORY);
  const audit: AuditLine[] = [];
  const { rootLifetimeMs } = parts;
  const identity = new Identity({
    store,
    seal,
    clock,
    log: new Log("identity", { level: "error" }, () => {}),
    audit: {
      record(line) {
        audit.push(line);
        parts.audit?.record(line);
      },
    },
    trustDomain: "cluster.local",
    aliases: parts.aliases ?? (() => []),
    leafLifetimeMs: parts.leafLifetimeMs ?? DAY_MS,
    ...(rootLifetimeMs === undefined ? {} : { rootLifetimeMs }),
    files: parts.files,
    jwts: parts.jwts ?? [],
    gatewayAccounts: new Set(parts.gatewayAccounts ?? []),
    hosts: parts.hosts ?? [],
  });
  return {
    identity,
    clock,
    seal,
    audit,
    async issue(call) {
      const { csrPem = (await createCertificateRequest("")).csrPem } = call;
      const result = await identity.issuance.issue({ ...anyCall, ...call, csrPem });
      if (result.at === "issued") return "issued";
      return `${result.refusal.kind}: ${result.refusal.reason}`;
    },
    close() {
      identity.close();
      store.close();
    },
  };
}

const anyCall: Omit<IssueCall, "csrPem"> = {
  credential: { kind: "caller" },
  service: "",
  account: "",
  lifetimeMs: 0,
  caller: { principal: { kind: "anonymous", reason: "" }, address: "10.0.0.7:51234" },
};
