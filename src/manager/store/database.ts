/** Opens one SQLite file: journalled, and brought to the schema that this binary knows. */
import { Database } from "bun:sqlite";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";

/** How long a manager waits for another one that writes to the same file. */
const BUSY_MS = 5_000;
/** SQLite would keep 2 MB of each file, page by page as they are written; the kernel has them. */
const CACHE_KIB = 256;

/** A path: nothing of it is kept. */
export const MEMORY = ":memory:";

/**
 * `durability` FULL: every commit reaches the disk before it returns. NORMAL: a power cut may take
 * the last ones, for what can be told again. `sharing`: whether other processes may have it open.
 */
export function openDatabase(
  path: string,
  migrations: readonly string[],
  durability: "FULL" | "NORMAL",
  sharing: "alone" | "shared" = "alone",
): Database {
  const database = create(path);
  try {
    // Exclusive before WAL: the lock is taken with the first statement, and no shared memory file
    // is made.
    if (sharing === "alone") database.run("PRAGMA locking_mode = EXCLUSIVE");
    else database.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    database.run("PRAGMA journal_mode = WAL");
    database.run(`PRAGMA synchronous = ${durability}`);
    database.run(`PRAGMA cache_size = -${CACHE_KIB}`);
    migrate(database, migrations);
  } catch (cause) {
    database.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (/locked/.test(reason)) throw new Error(`${path} is in use by another manager`, { cause });
    throw new Error(`${path}: ${reason}`, { cause });
  }
  return database;
}

function create(path: string): Database {
  if (path === MEMORY) return new Database(path, { strict: true });
  const folder = dirname(path);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new Error(`the directory ${folder} cannot be made: ${reasonOf(cause)}`, { cause });
  }
  try {
    // For its owner only, and so are the files that SQLite puts beside it: there are passwords in
    // rules, and folders that others may read.
    closeSync(openSync(path, "a", 0o600));
    return new Database(path, { create: true, strict: true });
  } catch (cause) {
    throw new Error(`${path}: ${reasonOf(cause)}: may this user write there?`, { cause });
  }
}

/** "EACCES: permission denied, mkdir '/a'" ─▶ "permission denied" */
function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/^[A-Z]+: /, "").replace(/, \w+ '.*'$/, "");
}

function migrate(database: Database, migrations: readonly string[]): void {
  database
    .transaction(() => {
      const row = database.query<{ user_version: number }, []>("PRAGMA user_version").get();
      const version = row?.user_version ?? 0;
      if (version > migrations.length)
        throw new Error(
          `it is of schema ${version}, and this binary knows only ${migrations.length}`,
        );
      for (const migration of migrations.slice(version)) database.run(migration);
      if (version < migrations.length) database.run(`PRAGMA user_version = ${migrations.length}`);
    })
    .immediate();
}
