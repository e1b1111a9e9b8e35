/** Which access log is written, while settings change and people listen. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import type { AccessLog } from "../../telemetry/access-log.ts";
import { RecordText } from "../../telemetry/access-record.ts";
import { parseProxyFlags } from "../flags.ts";
import { AccessLogSwitch } from "./access-log-switch.ts";

const directory = mkdtempSync(join(tmpdir(), "access-log-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let inUse: AccessLog | undefined;
let warnings: string[];
beforeEach(() => {
  inUse = undefined;
  warnings = [];
});

function open(...argv: readonly string[]): AccessLogSwitch {
  const parsed = parseProxyFlags(argv);
  if (parsed.at !== "flags") throw new Error(JSON.stringify(parsed));
  return new AccessLogSwitch({
    flags: parsed.flags,
    clock: systemClock,
    log: new Log("test", { level: "warn" }, (line) => warnings.push(line)),
    use: (accessLog) => {
      inUse = accessLog;
    },
  });
}

function write(path: string): void {
  const record = inUse!.acquire();
  record.string(RecordText.path, path);
  inUse!.write(record);
}

const read = (name: string): string => readFileSync(join(directory, name), "utf8");

test("the settings say where, until they say otherwise; nothing written is lost", async () => {
  const logs = open();
  expect(inUse).toBeUndefined();
  logs.follow({ accessLogFile: join(directory, "a"), accessLogJson: false });
  write("/one");
  const former = inUse;
  logs.follow({ accessLogFile: join(directory, "a"), accessLogJson: false });
  expect(inUse).toBe(former);
  logs.follow({ accessLogFile: join(directory, "b"), accessLogJson: true });
  write("/two");
  await logs.close();
  expect(inUse).toBeUndefined();
  expect(read("a")).toContain("/one");
  expect(JSON.parse(read("b"))).toMatchObject({ path: "/two" });
});

test("the command line comes first, and may say none", async () => {
  const logs = open("--access-log", join(directory, "c"), "--access-log-encoding", "json");
  logs.follow({ accessLogFile: join(directory, "d"), accessLogJson: false });
  write("/three");
  await logs.close();
  expect(JSON.parse(read("c"))).toMatchObject({ path: "/three" });
  const none = open("--access-log", "none");
  none.follow({ accessLogFile: join(directory, "d"), accessLogJson: false });
  expect(inUse).toBeUndefined();
});

test("a file that cannot be written: of a flag, no start; of the mesh, a warning", () => {
  const path = join(directory, "no", "such", "directory");
  expect(() => open("--access-log", path)).toThrow("cannot be written");
  open().follow({ accessLogFile: path, accessLogJson: false });
  expect(warnings.join()).toContain("no access log");
  expect(inUse).toBeUndefined();
});

test("who listens gets lines with a file or without; nothing is recorded for nobody", async () => {
  const logs = open();
  const heard: string[] = [];
  const stop = logs.tap((line) => heard.push(JSON.parse(line).path));
  write("/four");
  logs.follow({ accessLogFile: join(directory, "e"), accessLogJson: false });
  write("/five");
  stop();
  write("/six");
  expect(heard).toEqual(["/four", "/five"]);
  logs.follow({ accessLogFile: "", accessLogJson: false });
  expect(inUse).toBeUndefined();
  await logs.close();
  expect(read("e")).toContain("/six");
  expect(read("e")).not.toContain("/four");
});
