/** Tokens by which a workload comes to its first certificate: for one identity, so many times. */
import { withoutTokenLabels, withTokenLabels } from "../../api/discovery/token-labels.ts";
import type { Clock } from "../../core/clock.ts";
import { decodeLabels, decodeMode, encodeLabels, type Grant } from "./grant.ts";
import type { IdentityStore } from "./identity-store.ts";
import { isSameSecret, newSecret, parseToken, tokenText } from "./secret-token.ts";

export interface JoinTokenRecord extends Grant {
  readonly id: string;
  /** "spiffe://…" */
  readonly identity: string;
  /** "reviews.default" */
  readonly service: string;
  readonly uses: number;
  readonly used: number;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly revoked: boolean;
  readonly author: string;
}

export interface JoinTokenWish extends Grant {
  readonly identity: string;
  readonly service: string;
  readonly uses: number;
  readonly lifetimeMs: number;
  readonly author: string;
  /** Of the root that bearers are to trust. */
  readonly pin: string;
}

export type JoinTokenVerdict =
  | { readonly at: "good"; readonly token: JoinTokenRecord }
  /** For log and audit; the bearer is told nothing of it. */
  | { readonly at: "refused"; readonly id: string; readonly why: string };

interface StoredRow {
  readonly id: string;
  readonly secret: Uint8Array;
  readonly identity: string;
  readonly service: string;
  readonly uses: number;
  readonly used: number;
  readonly created_ms: number;
  readonly expires_ms: number;
  readonly revoked: number;
  readonly author: string;
  readonly mode: string;
  readonly labels: string;
}

const KIND = "mesh1";
/** How long one that expired is listed, at least; and as long as certificates go back to it. */
const KEPT_MS = 7 * 86_400_000;

export class JoinTokens {
  readonly #store: IdentityStore;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();

  constructor(store: IdentityStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** `text` is said here and never again. */
  create(wish: JoinTokenWish): { readonly text: string; readonly token: JoinTokenRecord } {
    const secret = newSecret();
    const nowMs = Math.round(this.#clock.wallMs());
    const expiresMs = nowMs + Math.round(wish.lifetimeMs);
    const { database } = this.#store;
    database
      .query(
        `DELETE FROM join_token WHERE expires_ms < ? AND id NOT IN
         (SELECT origin FROM issued WHERE not_after_ms > ?)`,
      )
      .run(nowMs - KEPT_MS, nowMs);
    const { identity, service, uses, author, mode, labels } = wish;
    database
      .query("INSERT INTO join_token VALUES (?, ?, ?, ?, ?, 0, ?, ?, 0, ?, ?, ?)")
      .run(
        ...[secret.id, secret.hash, identity, service, uses, nowMs, expiresMs, author],
        ...[mode, encodeLabels(labels)],
      );
    const token = {
      id: secret.id,
      identity,
      service,
      uses,
      used: 0,
      createdMs: nowMs,
      expiresMs,
      revoked: false,
      author,
      mode,
      labels,
    };
    return { text: withTokenLabels(tokenText(KIND, secret, wish.pin), labels), token };
  }

  /** Newest first. */
  list(): readonly JoinTokenRecord[] {
    return this.#store.database
      .query<StoredRow, []>("SELECT * FROM join_token ORDER BY created_ms DESC, id")
      .all()
      .map(recordOf);
  }

  /** False: there is none of that id. */
  revoke(id: string): boolean {
    const query = this.#store.database.query("UPDATE join_token SET revoked = 1 WHERE id = ?");
    const isThere = query.run(id).changes > 0;
    if (isThere) for (const listener of [...this.#listeners]) listener();
    return isThere;
  }

  /** Calls back when one was revoked at this manager. */
  onRevoke(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Also of one that expired: certificates that go back to it are not renewed any more. */
  isRevoked(id: string): boolean {
    const row = this.#store.database
      .query<{ revoked: number }, [string]>("SELECT revoked FROM join_token WHERE id = ?")
      .get(id);
    return row !== null && row.revoked !== 0;
  }

  /** Ids of all that certificates may go back to. */
  revoked(): ReadonlySet<string> {
    const rows = this.#store.database
      .query<{ id: string }, []>("SELECT id FROM join_token WHERE revoked <> 0")
      .all();
    return new Set(rows.map(({ id }) => id));
  }

  /** Whether it would be taken now. */
  judge(text: string): JoinTokenVerdict {
    const presented = parseToken(KIND, withoutTokenLabels(text));
    const refused = (why: string): JoinTokenVerdict => {
      return { at: "refused", id: presented?.id ?? "", why };
    };
    if (presented === undefined) return refused("it has not the form of a join token");
    const row = this.#store.database
      .query<StoredRow, [string]>("SELECT * FROM join_token WHERE id = ?")
      .get(presented.id);
    if (row === null) return refused("there is none of this id");
    if (!isSameSecret(presented, row.secret)) return refused("its secret is wrong");
    if (row.revoked !== 0) return refused("it was revoked");
    if (row.expires_ms <= this.#clock.wallMs()) return refused("it expired");
    if (row.used >= row.uses) return refused("it was used as often as it may be");
    return { at: "good", token: recordOf(row) };
  }

  /** Within the transaction that issues: false: somebody else was quicker. */
  spend(id: string): boolean {
    return (
      this.#store.database
        .query(
          `UPDATE join_token SET used = used + 1
           WHERE id = ? AND used < uses AND revoked = 0 AND expires_ms > ?`,
        )
        .run(id, Math.floor(this.#clock.wallMs())).changes > 0
    );
  }
}

function recordOf(row: StoredRow): JoinTokenRecord {
  return {
    id: row.id,
    identity: row.identity,
    service: row.service,
    uses: row.uses,
    used: row.used,
    createdMs: row.created_ms,
    expiresMs: row.expires_ms,
    revoked: row.revoked !== 0,
    author: row.author,
    mode: decodeMode(row.mode),
    labels: decodeLabels(row.labels),
  };
}
