/** Log files through rotation, and pipes whose reader stopped reading. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppendFile } from "./append-file.ts";

const directory = mkdtempSync(join(tmpdir(), "append-file-"));
afterAll(() => rmSync(directory, { recursive: true }));

function write(file: AppendFile, text: string): Promise<boolean> {
  return new Promise((resolve) => file.write(Buffer.from(text), resolve));
}

/** A named pipe can be opened for writing once somebody reads it. */
async function openOnceRead(path: string): Promise<AppendFile> {
  for (;;) {
    try {
      return new AppendFile(path);
    } catch {
      await Bun.sleep(1);
    }
  }
}

test("what is written is appended, also to a file that was there", async () => {
  const path = join(directory, "a.log");
  await Bun.write(path, "before\n");
  const file = new AppendFile(path);
  expect(await write(file, "one\n")).toBe(true);
  expect(file.writeSync(Buffer.from("two\n"))).toBe(true);
  file.close();
  expect(readFileSync(path, "utf8")).toBe("before\none\ntwo\n");
});

test("after a rotation by rename lines go to the new file, and none is lost", async () => {
  const path = join(directory, "b.log");
  const file = new AppendFile(path);
  await write(file, "old\n");
  renameSync(path, `${path}.1`);
  const underWay = write(file, "during\n");
  file.reopen();
  await underWay;
  await write(file, "new\n");
  file.close();
  expect(readFileSync(`${path}.1`, "utf8")).toBe("old\nduring\n");
  expect(readFileSync(path, "utf8")).toBe("new\n");
});

test("a file that cannot be opened is an error; at a rotation the old one is kept", async () => {
  expect(() => new AppendFile(join(directory, "none", "a.log"))).toThrow("ENOENT");
  const path = join(directory, "gone", "c.log");
  await Bun.write(path, "");
  const file = new AppendFile(path);
  rmSync(join(directory, "gone"), { recursive: true });
  expect(() => file.reopen()).toThrow("ENOENT");
  expect(await write(file, "x")).toBe(true);
  file.close();
});

test("what is written after the close is refused, and touches nobody else's file", async () => {
  const file = new AppendFile(join(directory, "d.log"));
  const underWay = write(file, "in time\n");
  file.close();
  file.close();
  expect(await underWay).toBe(true);
  const other = new AppendFile(join(directory, "other.log"));
  expect(await write(file, "late")).toBe(false);
  expect(file.writeSync(Buffer.from("late"))).toBe(false);
  file.reopen();
  expect(await write(file, "late")).toBe(false);
  other.close();
  expect(readFileSync(join(directory, "d.log"), "utf8")).toBe("in time\n");
  expect(readFileSync(join(directory, "other.log"), "utf8")).toBe("");
});

test("a full disk is told to the caller", async () => {
  const file = new AppendFile("/dev/full");
  expect(await write(file, "x")).toBe(false);
  expect(file.writeSync(Buffer.from("x"))).toBe(false);
  file.close();
});

test("a reader that has stopped reading the pipe does not stop the event loop", async () => {
  const fifo = join(directory, "fifo");
  expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
  expect(() => new AppendFile(fifo)).toThrow("ENXIO");
  const reader = Bun.spawn(["sh", "-c", 'exec 3<"$0"; read line; cat <&3', fifo], {
    stdin: "pipe",
    stdout: "pipe",
  });
  const file = await openOnceRead(fifo);
  const bytes = Buffer.alloc(1 << 20, "x");
  let written: boolean | undefined;
  file.write(bytes, (result) => {
    written = result;
  });
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(written).toBeUndefined();
  reader.stdin.write("\n");
  reader.stdin.end();
  while (written === undefined) await Bun.sleep(1);
  file.close();
  expect((await new Response(reader.stdout).text()).length).toBe(bytes.length);
  expect(written).toBe(true);
});
