/** Rule directories as people and machines change them. */
import { afterEach, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FileWatch, watchFiles } from "./file-watch.ts";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

class Watched {
  readonly directory: string = mkdtempSync(join(tmpdir(), "file-watch-"));
  changes = 0;
  #seen = 0;
  #watch: FileWatch | undefined;
  #wake: (() => void) | undefined;

  constructor() {
    cleanUps.push(() => {
      this.#watch?.close();
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  start(paths: readonly string[] = [this.directory], settleMs = 5): void {
    this.#watch = watchFiles({
      paths,
      accepts: (name) => name.endsWith(".yaml"),
      settleMs,
      pollMs: 20,
      onChange: () => {
        this.changes++;
        this.#wake?.();
      },
    });
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** Resolves at the next change after those that were waited for. */
  async change(): Promise<void> {
    while (this.changes === this.#seen)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#seen = this.changes;
  }
}

test("a file that is written, changed in place, replaced, touched and removed", async () => {
  const watched = new Watched();
  watched.start();
  const path = watched.path("a.yaml");
  writeFileSync(path, "one");
  await watched.change();
  writeFileSync(path, "two");
  await watched.change();
  writeFileSync(watched.path(".a.yaml.swp"), "three");
  renameSync(watched.path(".a.yaml.swp"), path);
  await watched.change();
  utimesSync(path, 1, 1);
  await watched.change();
  rmSync(path);
  await watched.change();
});

test("a ConfigMap volume: files are links through ..data, which is swapped", async () => {
  const watched = new Watched();
  for (const [version, text] of [
    ["..v1", "old"],
    ["..v2", "new"],
  ] as const) {
    mkdirSync(watched.path(version));
    writeFileSync(watched.path(version, "rules.yaml"), text);
  }
  symlinkSync("..v1", watched.path("..data"));
  symlinkSync(join("..data", "rules.yaml"), watched.path("rules.yaml"));
  watched.start();
  symlinkSync("..v2", watched.path("..data_tmp"));
  renameSync(watched.path("..data_tmp"), watched.path("..data"));
  await watched.change();
});

test("directories below, and one that does not exist yet, goes and comes back", async () => {
  const watched = new Watched();
  const later = watched.path("later");
  watched.start([later]);
  mkdirSync(join(later, "team"), { recursive: true });
  writeFileSync(join(later, "team", "a.yaml"), "one");
  await watched.change();
  rmSync(later, { recursive: true });
  await watched.change();
  mkdirSync(join(later, "team"), { recursive: true });
  writeFileSync(join(later, "team", "a.yaml"), "one");
  await watched.change();
});

test("a single file can be watched, and a link that leads back up does no harm", async () => {
  const watched = new Watched();
  const path = watched.path("only.yaml");
  writeFileSync(path, "one");
  symlinkSync(".", watched.path("loop"));
  watched.start([path, watched.directory]);
  writeFileSync(path, "two, longer");
  await watched.change();
});

test("a file that is still being written is not told before it has come to rest", async () => {
  const watched = new Watched();
  watched.start([watched.directory], 80);
  const path = watched.path("long.yaml");
  for (let part = 0; part < 40; part++) {
    appendFileSync(path, "part\n");
    await Bun.sleep(5);
  }
  expect(watched.changes).toBe(0);
  await watched.change();
  expect(watched.changes).toBe(1);
});

test("many files written together are one change, and other files are none", async () => {
  const watched = new Watched();
  watched.start();
  for (let i = 0; i < 200; i++) writeFileSync(watched.path(`${i}.yaml`), "x");
  await watched.change();
  expect(watched.changes).toBe(1);
  writeFileSync(watched.path("notes.txt"), "x");
  writeFileSync(watched.path("last.yaml"), "x");
  await watched.change();
  expect(watched.changes).toBe(2);
});
