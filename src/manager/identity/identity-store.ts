/**
 * The file that holds who may prove what: authorities with their sealed keys, tokens as hashes, and
 * what was issued. Several managers may have it open; what has to be decided once (who creates the
 * root, whose use of a token is the last) is decided in a transaction.
 */
import type { Database } from "bun:sqlite";
import { openDatabase } from "../store/database.ts";

const MIGRATIONS = [
  `CREATE TABLE authority (
     fingerprint TEXT PRIMARY KEY, origin TEXT NOT NULL, state TEXT NOT NULL,
     certificate TEXT NOT NULL, above TEXT NOT NULL, roots TEXT NOT NULL, sealed_key BLOB,
     signs_from_ms INTEGER NOT NULL, needed_until_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE join_token (
     id TEXT PRIMARY KEY, secret BLOB NOT NULL, identity TEXT NOT NULL, service TEXT NOT NULL,
     uses INTEGER NOT NULL, used INTEGER NOT NULL, created_ms INTEGER NOT NULL,
     expires_ms INTEGER NOT NULL, revoked INTEGER NOT NULL, author TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE access_token (
     id TEXT PRIMARY KEY, secret BLOB NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
     created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, author TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE issued (
     number INTEGER PRIMARY KEY, serial TEXT NOT NULL, identity TEXT NOT NULL,
     not_after_ms INTEGER NOT NULL, issued_ms INTEGER NOT NULL, author TEXT NOT NULL,
     address TEXT NOT NULL, origin TEXT NOT NULL
   ) STRICT;
   CREATE INDEX issued_serial ON issued (serial);
   CREATE INDEX issued_origin ON issued (origin, not_after_ms);
   CREATE TABLE identity_service (
     identity TEXT NOT NULL, service TEXT NOT NULL, until_ms INTEGER NOT NULL,
     PRIMARY KEY (identity, service)
   ) STRICT, WITHOUT ROWID;`,
  // What there was until then is a sidecar's, with whichever labels it says.
  `ALTER TABLE join_token ADD COLUMN mode TEXT NOT NULL DEFAULT 'sidecar';
   ALTER TABLE join_token ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
   ALTER TABLE issued ADD COLUMN mode TEXT NOT NULL DEFAULT 'sidecar';
   ALTER TABLE issued ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';`,
];

export class IdentityStore {
  readonly database: Database;

  /** MEMORY keeps nothing. */
  constructor(path: string) {
    this.database = openDatabase(path, MIGRATIONS, "FULL", "shared");
  }

  /** All of `run` or nothing, and nobody else writes meanwhile. It throws what `run` throws. */
  transaction<T>(run: () => T): T {
    return this.database.transaction(run).immediate();
  }

  /** Another number than before: another process has written. */
  get foreignVersion(): number {
    const row = this.database.query<{ data_version: number }, []>("PRAGMA data_version").get();
    return row?.data_version ?? 0;
  }

  close(): void {
    this.database.close();
  }
}
