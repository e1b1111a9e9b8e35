/** Tokens by which people and scripts call the control plane, each in a role. */
import { ROLES, type Role } from "../../api/principal.ts";
import type { Clock } from "../../core/clock.ts";
import type { IdentityStore } from "./identity-store.ts";
import { isSameSecret, newSecret, parseToken, tokenText } from "./secret-token.ts";

export interface AccessTokenRecord {
  readonly id: string;
  /** Of whom it stands for: "ann". */
  readonly name: string;
  readonly role: Role;
  readonly createdMs: number;
  /** 0: never. */
  readonly expiresMs: number;
  readonly author: string;
}

export interface AccessTokenWish {
  readonly name: string;
  readonly role: Role;
  /** 0: it never expires. */
  readonly lifetimeMs: number;
  readonly author: string;
  /** Of the root that bearers are to trust. */
  readonly pin: string;
}

interface StoredRow {
  readonly id: string;
  readonly secret: Uint8Array;
  readonly name: string;
  readonly role: string;
  readonly created_ms: number;
  readonly expires_ms: number;
  readonly author: string;
}

const KIND = "mesh-access";

export class AccessTokens {
  readonly #store: IdentityStore;
  readonly #clock: Clock;

  constructor(store: IdentityStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** `text` is said here and never again. */
  create(wish: AccessTokenWish): { readonly text: string; readonly token: AccessTokenRecord } {
    const secret = newSecret();
    const createdMs = Math.round(this.#clock.wallMs());
    const expiresMs = wish.lifetimeMs === 0 ? 0 : createdMs + Math.round(wish.lifetimeMs);
    const { name, role, author, pin } = wish;
    this.#store.database
      .query("INSERT INTO access_token VALUES (?, ?, ?, ?, ?, ?, ?)")
      .run(secret.id, secret.hash, name, role, createdMs, expiresMs, author);
    const token = { id: secret.id, name, role, createdMs, expiresMs, author };
    return { text: tokenText(KIND, secret, pin), token };
  }

  /** Newest first. */
  list(): readonly AccessTokenRecord[] {
    return this.#store.database
      .query<StoredRow, []>("SELECT * FROM access_token ORDER BY created_ms DESC, id")
      .all()
      .map(recordOf);
  }

  /** False: there is none of that id. It is no longer taken, from the next call on. */
  revoke(id: string): boolean {
    return this.#store.database.query("DELETE FROM access_token WHERE id = ?").run(id).changes > 0;
  }

  /** Whose it is; undefined: it is no token of ours, wrong, expired or revoked. */
  find(text: string): AccessTokenRecord | undefined {
    const presented = parseToken(KIND, text);
    if (presented === undefined) return undefined;
    const row = this.#store.database
      .query<StoredRow, [string]>("SELECT * FROM access_token WHERE id = ?")
      .get(presented.id);
    if (row === null || !isSameSecret(presented, row.secret)) return undefined;
    if (row.expires_ms !== 0 && row.expires_ms <= this.#clock.wallMs()) return undefined;
    return recordOf(row);
  }
}

function recordOf(row: StoredRow): AccessTokenRecord {
  return {
    id: row.id,
    name: row.name,
    // Less than all where a later binary knew more roles.
    role: ROLES.find((role) => role === row.role) ?? "viewer",
    createdMs: row.created_ms,
    expiresMs: row.expires_ms,
    author: row.author,
  };
}
