/**
 * Authorities as they lie in the store. Each one goes one way:
 *
 *   coming ─(everybody heard of its roots)─▶ active ─(another one is)─▶ former ─▶ gone
 *
 * All of them are trusted, and the active one signs; a former one stays while a leaf of it lives.
 */
import type { IdentityStore } from "./identity-store.ts";

export type AuthorityState = "coming" | "active" | "former";

export interface AuthorityRow {
  /** SHA-256 of the certificate that signs, hexadecimal. */
  readonly fingerprint: string;
  /** Made here, or in files of the operator. */
  readonly origin: "own" | "files";
  readonly state: AuthorityState;
  /** PEM, like the next two. */
  readonly certificate: string;
  /** Sent below leafs, beside the certificate itself where that is no root. */
  readonly above: string;
  readonly roots: string;
  /** Null: it is in files. */
  readonly sealedKey: Uint8Array | null;
  /** When one that is coming may begin. */
  readonly signsFromMs: number;
  /** When the last that depends on it has expired: leafs, and join tokens that name its root. */
  readonly neededUntilMs: number;
}

interface StoredRow {
  readonly fingerprint: string;
  readonly origin: string;
  readonly state: string;
  readonly certificate: string;
  readonly above: string;
  readonly roots: string;
  readonly sealed_key: Uint8Array | null;
  readonly signs_from_ms: number;
  readonly needed_until_ms: number;
}

export class AuthorityTable {
  readonly #store: IdentityStore;

  constructor(store: IdentityStore) {
    this.#store = store;
  }

  /** The active one first, then those that are coming, then former ones. */
  rows(): readonly AuthorityRow[] {
    const order = "CASE state WHEN 'active' THEN 0 WHEN 'coming' THEN 1 ELSE 2 END";
    return this.#store.database
      .query<StoredRow, []>(
        `SELECT * FROM authority ORDER BY ${order}, needed_until_ms DESC, fingerprint`,
      )
      .all()
      .map((row) => ({
        fingerprint: row.fingerprint,
        origin: row.origin === "files" ? "files" : "own",
        state: row.state === "active" || row.state === "coming" ? row.state : "former",
        certificate: row.certificate,
        above: row.above,
        roots: row.roots,
        sealedKey: row.sealed_key,
        signsFromMs: row.signs_from_ms,
        neededUntilMs: row.needed_until_ms,
      }));
  }

  save(row: AuthorityRow): void {
    this.#store.database
      .query("INSERT OR REPLACE INTO authority VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .run(
        row.fingerprint,
        row.origin,
        row.state,
        row.certificate,
        row.above,
        row.roots,
        row.sealedKey,
        Math.round(row.signsFromMs),
        Math.round(row.neededUntilMs),
      );
  }

  /** Something that it vouches for lasts until then. */
  need(fingerprint: string, untilMs: number): void {
    this.#store.database
      .query(`UPDATE authority SET needed_until_ms = max(needed_until_ms, ?) WHERE fingerprint = ?`)
      .run(Math.round(untilMs), fingerprint);
  }

  remove(fingerprint: string): void {
    this.#store.database.query("DELETE FROM authority WHERE fingerprint = ?").run(fingerprint);
  }
}
