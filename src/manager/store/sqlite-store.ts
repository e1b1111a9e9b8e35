/**
 * Configuration in one SQLite file, in WAL mode with synchronous=FULL: what a commit returned
 * survives a power cut. The file is held exclusively, so that a second manager on it fails at once
 * and does not serve what it cannot see changing.
 *
 *   object    the current form of each object
 *   change    every form that ever was, by revision: history, and the source of watch
 */
import type { Database } from "bun:sqlite";
import type { Clock } from "../../core/clock.ts";
import { type Config, type ConfigKind, configKey } from "../../model/config.ts";
import { openDatabase } from "./database.ts";
import type {
  CommitResult,
  Conflict,
  HistoryEntry,
  Store,
  StoreChange,
  StoredConfig,
  StoreEvent,
  StoreKey,
} from "./store.ts";
import { Watchers } from "./watchers.ts";

/** The n-th brings a file from version n to n + 1. Never edited once released, only added to. */
const MIGRATIONS = [
  `CREATE TABLE object (
     key TEXT PRIMARY KEY, config TEXT NOT NULL, revision INTEGER NOT NULL,
     created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, author TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE change (
     revision INTEGER NOT NULL, key TEXT NOT NULL, change TEXT NOT NULL, config TEXT NOT NULL,
     created_ms INTEGER NOT NULL, time_ms INTEGER NOT NULL, author TEXT NOT NULL,
     PRIMARY KEY (revision, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX change_by_key ON change (key, revision);`,
];

interface ObjectRow {
  readonly key: string;
  readonly config: string;
  readonly revision: number;
  readonly created_ms: number;
  readonly updated_ms: number;
  readonly author: string;
}

interface ChangeRow {
  readonly revision: number;
  readonly key: string;
  readonly change: HistoryEntry["change"];
  readonly config: string;
  readonly created_ms: number;
  readonly time_ms: number;
  readonly author: string;
}

export class SqliteStore implements Store {
  readonly #clock: Clock;
  readonly #database: Database;
  readonly #watchers = new Watchers();
  #revision: number;

  /** Throws a line for the operator where the file cannot be used. */
  constructor(path: string, clock: Clock) {
    this.#clock = clock;
    this.#database = openDatabase(path, MIGRATIONS, "FULL");
    const row = this.#database
      .query<{ revision: number | null }, []>("SELECT max(revision) AS revision FROM change")
      .get();
    this.#revision = row?.revision ?? 0;
  }

  async get(key: StoreKey): Promise<StoredConfig | undefined> {
    return this.#get(key);
  }

  async list(): Promise<{ revision: number; objects: readonly StoredConfig[] }> {
    const rows = this.#database.query<ObjectRow, []>("SELECT * FROM object ORDER BY key").all();
    return { revision: this.#revision, objects: rows.map(storedOf) };
  }

  async commit(changes: readonly StoreChange[], author: string): Promise<CommitResult> {
    const conflicts = changes.flatMap((change) => this.#conflictOf(change));
    if (conflicts.length > 0) return { ok: false, conflicts };
    const revision = this.#revision + 1;
    const timeMs = this.#clock.wallMs();
    const events: StoreEvent[] = [];
    this.#database
      .transaction(() => {
        for (const change of changes)
          events.push(
            ...("put" in change
              ? this.#put(change.put, { revision, timeMs, author })
              : this.#delete(change.delete, { revision, timeMs, author })),
          );
      })
      .immediate();
    if (events.length === 0) return { ok: true, revision: this.#revision };
    this.#revision = revision;
    this.#watchers.tell(events);
    return { ok: true, revision };
  }

  async history(key: StoreKey, limit: number): Promise<readonly HistoryEntry[]> {
    return this.#database
      .query<ChangeRow, [string, number]>(
        "SELECT * FROM change WHERE key = ? ORDER BY revision DESC LIMIT ?",
      )
      .all(key, limit)
      .map(({ revision, time_ms, author, change, config }) => ({
        revision,
        timeMs: time_ms,
        author,
        change,
        config: configOf(config),
      }));
  }

  watch(from: number, onEvents: (events: readonly StoreEvent[]) => void): () => void {
    const past = this.#database
      .query<ChangeRow, [number]>("SELECT * FROM change WHERE revision > ? ORDER BY revision, key")
      .all(from)
      .map(eventOf);
    if (past.length > 0) onEvents(past);
    return this.#watchers.add(onEvents);
  }

  async close(): Promise<void> {
    this.#watchers.clear();
    this.#database.close();
  }

  #get(key: StoreKey): StoredConfig | undefined {
    const row = this.#database
      .query<ObjectRow, [string]>("SELECT * FROM object WHERE key = ?")
      .get(key);
    return row === null ? undefined : storedOf(row);
  }

  #conflictOf(change: StoreChange): Conflict[] {
    const key = "put" in change ? configKey(change.put) : change.delete;
    const actual = this.#get(key)?.revision ?? 0;
    const { expected = actual } = change;
    return expected === actual ? [] : [{ key, expected, actual }];
  }

  #put(config: Config, at: Moment): StoreEvent[] {
    const key = configKey(config);
    const text = JSON.stringify(config);
    const former = this.#get(key);
    const createdMs = former?.createdMs ?? at.timeMs;
    this.#database
      .query("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?)")
      .run(key, text, at.revision, createdMs, at.timeMs, at.author);
    const change = former === undefined ? "created" : "updated";
    this.#record({ key, change, config: text, created_ms: createdMs, ...rowOf(at) });
    const { revision, timeMs: updatedMs, author } = at;
    const stored = { config, revision, createdMs, updatedMs, author };
    return [{ revision, key, kind: config.kind, stored }];
  }

  #delete(key: StoreKey, at: Moment): StoreEvent[] {
    const former = this.#get(key);
    if (former === undefined) return [];
    this.#database.query("DELETE FROM object WHERE key = ?").run(key);
    const config = JSON.stringify(former.config);
    const created_ms = former.createdMs;
    this.#record({ key, change: "deleted", config, created_ms, ...rowOf(at) });
    return [{ revision: at.revision, key, kind: former.config.kind }];
  }

  #record(row: ChangeRow): void {
    this.#database
      .query("INSERT OR REPLACE INTO change VALUES (?, ?, ?, ?, ?, ?, ?)")
      .run(row.revision, row.key, row.change, row.config, row.created_ms, row.time_ms, row.author);
  }
}

interface Moment {
  readonly revision: number;
  readonly timeMs: number;
  readonly author: string;
}

function rowOf({ revision, timeMs, author }: Moment) {
  return { revision, time_ms: timeMs, author };
}

function storedOf(row: ObjectRow): StoredConfig {
  return {
    config: configOf(row.config),
    revision: row.revision,
    createdMs: row.created_ms,
    updatedMs: row.updated_ms,
    author: row.author,
  };
}

function eventOf(row: ChangeRow): StoreEvent {
  const { revision, key, created_ms: createdMs, time_ms: updatedMs, author } = row;
  const config = configOf(row.config);
  const kind: ConfigKind = config.kind;
  if (row.change === "deleted") return { revision, key, kind };
  return { revision, key, kind, stored: { config, revision, createdMs, updatedMs, author } };
}

/** Written by this module only, from a Config. */
function configOf(text: string): Config {
  return JSON.parse(text) as Config;
}
