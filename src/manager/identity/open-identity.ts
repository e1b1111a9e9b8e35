/** The authority as the command line has it. */
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { Identity } from "./identity.ts";
import { IdentityStore } from "./identity-store.ts";
import type { IssueAudit } from "./issuance.ts";
import { KeySeal } from "./key-seal.ts";

export interface IdentityFlags {
  /** Empty: everything is in memory. */
  readonly dataDir: string;
  readonly domain: string;
}

export interface IdentityParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: IssueAudit;
}

const LEAF_LIFETIME_MS = 24 * 60 * 60_000;

/** Throws a sentence for the operator. */
export function openIdentity({ dataDir, domain }: IdentityFlags, parts: IdentityParts) {
  const store = new IdentityStore(dataDir === "" ? ":memory:" : join(dataDir, "identity.db"));
  const identity = new Identity({
    ...parts,
    store,
    seal: dataDir === "" ? KeySeal.random() : KeySeal.createdIn(join(dataDir, "ca-key.key")),
    trustDomain: domain,
    aliases: () => [],
    leafLifetimeMs: LEAF_LIFETIME_MS,
    files: undefined,
    jwts: [],
    hosts: [],
  });
  return {
    identity,
    close(): void {
      identity.close();
      store.close();
    },
  };
}
