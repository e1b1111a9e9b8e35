/**
 * What was issued to whom, for which services, and as what: the latter two are how a workload is
 * known to stand for a service, or to be a gateway, when it registers or asks for configuration.
 */
import type { Clock } from "../../core/clock.ts";
import { decodeLabels, decodeMode, encodeLabels, type Grant } from "./grant.ts";
import type { IdentityStore } from "./identity-store.ts";

export interface IssuedRecord {
  /** Hexadecimal. */
  readonly serial: string;
  readonly identity: string;
  readonly notAfterMs: number;
  readonly issuedMs: number;
  /** "join token 3f9a…", "certificate …", "service account default/reviews", "loopback" */
  readonly by: string;
  /** Of the caller; empty: the manager itself. */
  readonly address: string;
}

/** What a certificate was issued on. */
export interface IssuedGrant extends Grant {
  /** Id of the join token that it goes back to; or empty. */
  readonly origin: string;
}

export type IssuedEntry = IssuedRecord & Grant;

interface StoredRow {
  readonly serial: string;
  readonly identity: string;
  readonly not_after_ms: number;
  readonly issued_ms: number;
  readonly author: string;
  readonly address: string;
  readonly mode: string;
  readonly labels: string;
}

/** The last ones, and all that are in force; others are in the audit log, if anywhere. */
const KEPT = 100_000;
const TRIMMED_EVERY = 1_000;

export class IssuedLog {
  readonly #store: IdentityStore;
  readonly #clock: Clock;

  constructor(store: IdentityStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Within the transaction that issues. */
  record(
    issued: IssuedRecord,
    { services, origin, mode, labels }: IssuedGrant & { readonly services: readonly string[] },
  ): void {
    const { database } = this.#store;
    const { serial, identity, notAfterMs, issuedMs, by, address } = issued;
    const { lastInsertRowid } = database
      .query("INSERT INTO issued VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .run(
        ...[serial, identity, Math.round(notAfterMs), Math.round(issuedMs), by, address, origin],
        ...[mode, encodeLabels(labels)],
      );
    const number = Number(lastInsertRowid);
    if (number % TRIMMED_EVERY === 0) {
      const nowMs = Math.round(issuedMs);
      // Who renews often enough would else be rid of what its certificate is bound to.
      database
        .query("DELETE FROM issued WHERE number <= ? AND not_after_ms < ?")
        .run(number - KEPT, nowMs);
      database.query("DELETE FROM identity_service WHERE until_ms < ?").run(nowMs);
    }
    const remember = database.query(
      `INSERT INTO identity_service VALUES (?, ?, ?) ON CONFLICT DO UPDATE
       SET until_ms = max(until_ms, excluded.until_ms)`,
    );
    for (const service of services) remember.run(identity, service, Math.round(notAfterMs));
  }

  /** Newest first. */
  list(limit: number): readonly IssuedEntry[] {
    return this.#store.database
      .query<StoredRow, [number]>("SELECT * FROM issued ORDER BY number DESC LIMIT ?")
      .all(limit)
      .map((row) => ({
        serial: row.serial,
        identity: row.identity,
        notAfterMs: row.not_after_ms,
        issuedMs: row.issued_ms,
        by: row.author,
        address: row.address,
        mode: decodeMode(row.mode),
        labels: decodeLabels(row.labels),
      }));
  }

  /** `serial`: hexadecimal. Undefined: none of the kept ones has it. */
  grantOf(serial: string): IssuedGrant | undefined {
    const row = this.#store.database
      .query<{ origin: string; mode: string; labels: string }, [string]>(
        "SELECT origin, mode, labels FROM issued WHERE serial = ?",
      )
      .get(serial.toLowerCase());
    if (row === null) return undefined;
    const { origin, mode, labels } = row;
    return { origin, mode: decodeMode(mode), labels: decodeLabels(labels) };
  }

  /** "reviews.default": those that a certificate in force was issued for. */
  servicesOf(identity: string): readonly string[] {
    return this.#store.database
      .query<{ service: string }, [string, number]>(
        "SELECT service FROM identity_service WHERE identity = ? AND until_ms > ? ORDER BY service",
      )
      .all(identity, Math.floor(this.#clock.wallMs()))
      .map(({ service }) => service);
  }
}
