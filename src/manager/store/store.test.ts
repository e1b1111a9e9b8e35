/** What every store promises, whichever keeps the data. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../core/clock.ts";
import type { Config } from "../../model/config.ts";
import { MemoryStore } from "./memory-store.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { Store, StoreEvent } from "./store.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), "mesh-store-"));
  directories.push(made);
  return made;
}

function egress(name: string, service: string): Config {
  return {
    kind: "EgressRule",
    apiVersion: "config.istio.io/v1alpha2",
    meta: { name, namespace: "default", labels: {}, annotations: {} },
    origin: { file: "egress.yaml", line: 1, column: 1 },
    spec: { service, ports: [{ port: 80, protocol: "http" }] },
    text: `service: ${service}`,
  };
}

const stores: readonly (readonly [name: string, open: () => Store])[] = [
  ["memory", () => new MemoryStore(systemClock)],
  ["SQLite", () => new SqliteStore(join(directory(), "mesh.db"), systemClock)],
];

describe.each(stores)("the %s store", (_, open) => {
  test("gives back what was put, with who and at which revision", async () => {
    const store = open();
    const result = await store.commit([{ put: egress("a", "a.example") }], "ann");
    expect(result).toEqual({ ok: true, revision: 1 });
    const stored = await store.get("EgressRule/default/a");
    expect(stored).toMatchObject({ revision: 1, author: "ann" });
    expect(stored?.config).toEqual(egress("a", "a.example"));
    expect(await store.get("EgressRule/default/b")).toBeUndefined();
    await store.close();
  });

  test("lists by key, at one revision", async () => {
    const store = open();
    await store.commit([{ put: egress("b", "b.example") }, { put: egress("a", "a.example") }], "");
    const { revision, objects } = await store.list();
    expect(revision).toBe(1);
    expect(objects.map(({ config }) => config.meta.name)).toEqual(["a", "b"]);
    await store.close();
  });

  test("changes all objects of a commit or none", async () => {
    const store = open();
    await store.commit([{ put: egress("a", "a.example") }], "");
    const result = await store.commit(
      [
        { put: egress("b", "b.example"), expected: 0 },
        { put: egress("a", "new.example"), expected: 0 },
        { delete: "EgressRule/default/c", expected: 7 },
      ],
      "",
    );
    expect(result).toEqual({
      ok: false,
      conflicts: [
        { key: "EgressRule/default/a", expected: 0, actual: 1 },
        { key: "EgressRule/default/c", expected: 7, actual: 0 },
      ],
    });
    const { revision, objects } = await store.list();
    expect(revision).toBe(1);
    expect(objects.map(({ config }) => config)).toEqual([egress("a", "a.example")]);
    await store.close();
  });

  test("keeps every form of an object, newest first, deletions included", async () => {
    const store = open();
    await store.commit([{ put: egress("a", "one.example") }], "ann");
    await store.commit([{ put: egress("a", "two.example"), expected: 1 }], "bob");
    await store.commit([{ delete: "EgressRule/default/a", expected: 2 }], "eve");
    await store.commit([{ put: egress("a", "one.example"), expected: 0 }], "ann");
    const history = await store.history("EgressRule/default/a", 10);
    expect(history.map(({ revision, author, change }) => [revision, author, change])).toEqual([
      [4, "ann", "created"],
      [3, "eve", "deleted"],
      [2, "bob", "updated"],
      [1, "ann", "created"],
    ]);
    expect(history[1]?.config).toEqual(egress("a", "two.example"));
    expect(await store.history("EgressRule/default/a", 1)).toHaveLength(1);
    await store.close();
  });

  test("tells of every change after a revision, the past ones first", async () => {
    const store = open();
    await store.commit([{ put: egress("a", "a.example") }], "");
    await store.commit([{ put: egress("b", "b.example") }], "");
    const heard: StoreEvent[] = [];
    const stop = store.watch(1, (events) => heard.push(...events));
    await store.commit([{ delete: "EgressRule/default/a" }], "");
    stop();
    await store.commit([{ put: egress("c", "c.example") }], "");
    expect(heard.map(({ revision, key, stored }) => [revision, key, stored !== undefined])).toEqual(
      [
        [2, "EgressRule/default/b", true],
        [3, "EgressRule/default/a", false],
      ],
    );
    await store.close();
  });

  test("makes no revision of a commit that changes nothing", async () => {
    const store = open();
    expect(await store.commit([{ delete: "EgressRule/default/a" }], "")).toEqual({
      ok: true,
      revision: 0,
    });
    await store.close();
  });
});

describe("the memory store", () => {
  test("remembers the last thousand changes, and says so to who asks for more", async () => {
    const store = new MemoryStore(systemClock);
    for (let i = 0; i < 1_010; i++) await store.commit([{ put: egress("a", `${i}.example`) }], "");
    const history = await store.history("EgressRule/default/a", 2_000);
    expect([history.length, history[0]?.revision, history.at(-1)?.revision]).toEqual([
      1_000, 1_010, 11,
    ]);
    const heard: StoreEvent[] = [];
    store.watch(10, (events) => heard.push(...events));
    expect(heard).toHaveLength(1_000);
    expect(() => store.watch(9, () => {})).toThrow("changes after 9 are forgotten");
    expect((await store.list()).revision).toBe(1_010);
  });
});

describe("the SQLite store", () => {
  test("goes on where it stopped", async () => {
    const path = join(directory(), "deep", "mesh.db");
    const before = new SqliteStore(path, systemClock);
    await before.commit([{ put: egress("a", "a.example") }], "ann");
    await before.commit([{ delete: "EgressRule/default/a" }], "ann");
    await before.close();
    const after = new SqliteStore(path, systemClock);
    expect(await after.commit([{ put: egress("b", "b.example") }], "")).toEqual({
      ok: true,
      revision: 3,
    });
    expect(await after.history("EgressRule/default/a", 10)).toHaveLength(2);
    await after.close();
  });

  test("one that cannot be there is said with its path, and why", () => {
    const file = join(directory(), "file");
    writeFileSync(file, "no database");
    const open = (path: string) => () => new SqliteStore(path, systemClock);
    expect(open(file)).toThrow(`${file}: file is not a database`);
    expect(open(join(file, "mesh.db"))).toThrow(
      `the directory ${file} cannot be made: file already exists`,
    );
    expect(open("/sys/mesh.db")).toThrow("/sys/mesh.db: permission denied");
  });

  test("refuses a file that another manager holds, and one of a newer schema", async () => {
    const path = join(directory(), "mesh.db");
    const store = new SqliteStore(path, systemClock);
    expect(() => new SqliteStore(path, systemClock)).toThrow("is in use by another manager");
    await store.close();
    const { Database } = await import("bun:sqlite");
    const raw = new Database(path);
    raw.run("PRAGMA user_version = 99");
    raw.close();
    expect(() => new SqliteStore(path, systemClock)).toThrow("schema 99");
  });
});
