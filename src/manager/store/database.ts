/** Opens one SQLite file: locked, journalled, and brought to the schema that this binary knows. */
import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * `durability` FULL: every commit reaches the disk before it returns. NORMAL: a power cut may take
 * the last ones, for what can be told again.
 */
export function openDatabase(
  path: string,
  migrations: readonly string[],
  durability: "FULL" | "NORMAL",
): Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new Database(path, { create: true, strict: true });
  try {
    // Exclusive before WAL: the lock is taken with the first statement, and no shared memory file
    // is made.
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.run("PRAGMA journal_mode = WAL");
    database.run(`PRAGMA synchronous = ${durability}`);
    migrate(database, path, migrations);
  } catch (cause) {
    database.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (/locked/.test(reason)) throw new Error(`${path} is in use by another manager`, { cause });
    throw new Error(`${path}: ${reason}`, { cause });
  }
  return database;
}

function migrate(database: Database, path: string, migrations: readonly string[]): void {
  const row = database.query<{ user_version: number }, []>("PRAGMA user_version").get();
  const version = row?.user_version ?? 0;
  if (version > migrations.length)
    throw new Error(
      `${path} is of schema ${version}, and this binary knows only ${migrations.length}`,
    );
  database
    .transaction(() => {
      for (const migration of migrations.slice(version)) database.run(migration);
      database.run(`PRAGMA user_version = ${migrations.length}`);
    })
    .immediate();
}
