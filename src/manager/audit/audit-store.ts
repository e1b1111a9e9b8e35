/** Where the audit log is kept: a file of SQLite, or memory. */
import type { Database } from "bun:sqlite";
import { openDatabase } from "../store/database.ts";
import type { AuditRecord, AuditStore } from "./audit-log.ts";

export interface AuditRoom {
  readonly changes: number;
  readonly refusals: number;
}

const ROOM: AuditRoom = { changes: 100_000, refusals: 20_000 };
/** So many may be there beyond that, so that not each one that comes moves one out. */
const SLACK = 256;

const MIGRATIONS = [
  `CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,
    allowed INTEGER NOT NULL
  );
  CREATE INDEX audit_allowed ON audit (allowed, id)`,
];

interface Row extends Omit<AuditRecord, "allowed"> {
  readonly allowed: number;
}

const COLUMNS = "time_ms AS timeMs, who, address, action, object, detail, allowed";

export class SqliteAuditStore implements AuditStore {
  readonly #database: Database;
  readonly #room: AuditRoom;
  #appended = 0;

  constructor(path: string, room: AuditRoom = ROOM) {
    // The change itself is on disk by its own store.
    this.#database = openDatabase(path, MIGRATIONS, "NORMAL");
    this.#room = room;
    this.#tidy();
  }

  append(record: AuditRecord): void {
    const { timeMs, who, address, action, object, detail, allowed } = record;
    this.#database
      .query(
        "INSERT INTO audit (time_ms, who, address, action, object, detail, allowed)" +
          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      )
      .run(timeMs, who, address, action, object, detail, allowed ? 1 : 0);
    if (++this.#appended % SLACK === 0) this.#tidy();
  }

  list(limit: number): readonly AuditRecord[] {
    return this.#database
      .query<Row, [number]>(`SELECT ${COLUMNS} FROM audit ORDER BY id DESC LIMIT ?1`)
      .all(limit)
      .map((row) => ({ ...row, allowed: row.allowed !== 0 }));
  }

  close(): void {
    this.#database.close();
  }

  #tidy(): void {
    const { changes, refusals } = this.#room;
    const forget = this.#database.query(
      "DELETE FROM audit WHERE allowed = ?1 AND id <= COALESCE(" +
        "(SELECT id FROM audit WHERE allowed = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2), 0)",
    );
    forget.run(1, changes);
    forget.run(0, refusals);
  }
}

export class MemoryAuditStore implements AuditStore {
  readonly #room: AuditRoom;
  /** Oldest first. */
  #records: AuditRecord[] = [];
  readonly #kept = { changes: 0, refusals: 0 };

  constructor(room: AuditRoom = { changes: 2_000, refusals: 1_000 }) {
    this.#room = room;
  }

  append(record: AuditRecord): void {
    const sort = record.allowed ? "changes" : "refusals";
    this.#records.push(record);
    if (++this.#kept[sort] <= this.#room[sort] + SLACK) return;
    let spare = this.#kept[sort] - this.#room[sort];
    this.#kept[sort] -= spare;
    this.#records = this.#records.filter(({ allowed }) => {
      return allowed !== record.allowed || spare-- <= 0;
    });
  }

  list(limit: number): readonly AuditRecord[] {
    return this.#records.slice(-limit).reverse();
  }

  close(): void {
    this.#records = [];
  }
}
