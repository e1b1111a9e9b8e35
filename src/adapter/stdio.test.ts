/** Lines of logs: what is in them, where they go, and what is lost and what is not. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TypedValue } from "../attribute/value.ts";
import type { Dimensions } from "../policy/template.ts";
import { adapterEnvironment, openLocal, problemsOf } from "../testing/adapter-environment.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { LineBytes } from "./line-bytes.ts";
import { LineFormat } from "./log-line.ts";
import { noop } from "./noop.ts";
import { stdio } from "./stdio.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "stdio-"));
  folders.push(path);
  return path;
}

const text = (value: string): TypedValue => ({ type: "STRING", value });
const timestamp = { seconds: 1_503_309_840, nanos: 123_456_789 };

const variables: Dimensions = {
  Bool: { type: "BOOL", value: true },
  Double: { type: "DOUBLE", value: 1.23 },
  Duration: { type: "DURATION", value: 12_300_000 },
  IPAddress: { type: "IP_ADDRESS", value: new Uint8Array([1, 0, 0, 127]) },
  Int64: { type: "INT64", value: 2n ** 63n - 1n },
  Infinity: { type: "DOUBLE", value: Number.NEGATIVE_INFINITY },
  String: text('a "string"\n\u0001'),
  StringMap: { type: "STRING_MAP", value: new Map(Object.entries({ C: "D", A: "B" })) },
  Time: { type: "TIMESTAMP", value: timestamp },
};

function entry(severity: string, of: Dimensions = {}) {
  return { template: "logentry", name: "log.logentry.default", severity, variables: of } as const;
}

/** What a handler with these parameters writes. */
function written(parameters: object, ...instances: ReturnType<typeof entry>[]): string[] {
  const outputPath = join(folder(), "log");
  const handler = openLocal(stdio, { logStream: "FILE", outputPath, ...parameters });
  expect(handler.report!(instances)).toEqual([]);
  handler.close();
  return readFileSync(outputPath, "utf8").split("\n").slice(0, -1);
}

test.each([
  ["STDOUT", 1],
  ["STDERR", 2],
])("what goes to %s goes nowhere else", (logStream, descriptor) => {
  const program = `
    import { openLocal } from "../testing/adapter-environment.ts";
    import { stdio } from "./stdio.ts";
    const handler = openLocal(stdio, { logStream: "${logStream}" });
    handler.report([{ template: "logentry", name: "a", severity: "warn", variables: {} }]);
    handler.close();`;
  const child = Bun.spawnSync([process.execPath, "-e", program], { cwd: import.meta.dir });
  const told = [child.stdout, child.stderr].map((bytes) => bytes.toString());
  expect(told[descriptor - 1]).toStartWith('{"level":"warn"');
  expect(told[2 - descriptor]).toBe("");
});

test.each<[value: number | bigint, told: string]>([
  [0, "0"],
  [-5, "-5"],
  [2 ** 53, "9007199254740992"],
  [-(2n ** 63n), "-9223372036854775808"],
])("a whole number %p is written as it is", (value, told) => {
  const [line] = written({}, entry("INFO", { n: { type: "INT64", value: BigInt(value) } }));
  expect(line).toEndWith(`"n":${told}}`);
  if (typeof value === "bigint") return;
  const [again] = written({}, entry("INFO", { n: { type: "INT64", value } }));
  expect(again).toBe(line!);
});

test("a line of JSON, and one of text", () => {
  const one = { ...entry("WARNING", variables), timestamp };
  const [json] = written({}, one);
  expect(json).toBe(
    '{"level":"warn","time":"2017-08-21T10:04:00.123456Z","instance":"log.logentry.default",' +
      '"Bool":true,"Double":1.23,"Duration":"12.3ms","IPAddress":"1.0.0.127",' +
      '"Infinity":"-Inf","Int64":9223372036854775807,"String":"a \\"string\\"\\n\\u0001",' +
      '"StringMap":{"A":"B","C":"D"},"Time":"2017-08-21T10:04:00.123456Z"}',
  );
  expect(written({ outputAsJson: false }, one)).toEqual([
    "2017-08-21T10:04:00.123456Z\twarn\tlog.logentry.default\t" +
      '{"Bool": true, "Double": 1.23, "Duration": "12.3ms", "IPAddress": "1.0.0.127", ' +
      '"Infinity": "-Inf", "Int64": 9223372036854775807, "String": "a \\"string\\"\\n\\u0001", ' +
      '"StringMap": {"A":"B","C":"D"}, "Time": "2017-08-21T10:04:00.123456Z"}',
  ]);
});

test("without a time an entry has the first there is, without variables no braces", () => {
  expect(written({ outputAsJson: false }, entry("info"))).toEqual([
    "0001-01-01T00:00:00.000000Z\tinfo\tlog.logentry.default",
  ]);
});

test.each([
  ["info", "info"],
  ["INFO", "info"],
  ["warn", "warn"],
  ["WARNING", "warn"],
  ["Warning", "info"],
  ["ERROR", "error"],
  ["error", "error"],
  ["BOGUS", "info"],
  ["", "info"],
])("the severity %p is the level %p", (severity, level) => {
  const [line] = written({}, entry(severity));
  expect(JSON.parse(line!).level).toBe(level);
});

test("severities may be named; less severe entries than the output's level are left out", () => {
  const severityLevels = { Bad: "ERROR", warn: "INFO" };
  const lines = written(
    { severityLevels, outputLevel: "WARNING" },
    ...["Bad", "warn", "WARNING", "info"].map((severity) => entry(severity)),
  );
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(["error", "warn"]);
});

test("metrics are lines too, with the value first and the time of now", () => {
  const outputPath = join(folder(), "log");
  const parameters = { logStream: "FILE", outputPath, metricLevel: "ERROR" };
  const handler = openLocal(stdio, parameters);
  const value: TypedValue = { type: "INT64", value: 5 };
  handler.report!([{ template: "metric", name: "m", value, dimensions: { a: text("b") } }]);
  handler.close();
  expect(readFileSync(outputPath, "utf8")).toBe(
    '{"level":"error","time":"2026-01-01T00:00:00.000000Z","instance":"m","value":5,"a":"b"}\n',
  );
});

test("a rotated file stays below its size; old ones go by number and by age", async () => {
  const path = folder();
  const clock = new VirtualClock();
  const outputPath = join(path, "mesh.log");
  for (const other of ["mesh-2024-01-01T00-00-00.000.log", "mesh-notes.log", "other.log"])
    writeFileSync(join(path, other), "");
  const parameters = {
    logStream: "ROTATED_FILE",
    outputPath,
    maxMegabytesBeforeRotation: 1,
    maxRotatedFiles: 2,
  };
  const environment = adapterEnvironment(clock);
  const handler = openLocal(stdio, parameters, environment);
  const large = entry("info", { a: text("x".repeat(300_000)) });
  const { name, variables: fields } = large;
  const line = { level: "INFO", time: undefined, instance: name, fields } as const;
  const lineLength = new LineFormat().json(line, new LineBytes());
  for (let i = 0; i < 16; i++) {
    handler.report!([large]);
    while (statSync(outputPath).size !== lineLength * ((i % 3) + 1)) await Bun.sleep(1);
    clock.advance(1_000);
  }
  handler.close();
  expect(readdirSync(path).sort()).toEqual([
    "mesh-2026-01-01T00-00-12.000.log",
    "mesh-2026-01-01T00-00-15.000.log",
    "mesh-notes.log",
    "mesh.log",
    "other.log",
  ]);
});

test("what is too much is dropped and counted; a file that cannot be is complained of", () => {
  const environment = adapterEnvironment();
  const outputPath = join(folder(), "log");
  const handler = openLocal(stdio, { logStream: "FILE", outputPath }, environment);
  const large = entry("info", { a: text("x".repeat(1_000_000)) });
  handler.report!([large, large, large, large, large, large, large]);
  const dropped = () => {
    const { families, values } = environment.registry.view();
    return values[
      families.find(({ name }) => name === "mesh_stdio_dropped_total")!.series[0]!.slot
    ];
  };
  expect(dropped()).toBe(2);
  handler.close();
  const missing = { logStream: "FILE", outputPath: join(folder(), "no", "log") };
  const [complaint] = openLocal(stdio, missing, environment).report!([entry("info")]);
  expect(complaint).toContain("ENOENT");
});

test.each<[parameters: object, problems: string[]]>([
  [{}, []],
  [{ logStream: "STDERR", outputPath: "a" }, ["outputPath: has no place where logs go to STDERR"]],
  [{ outputPath: "a" }, ["outputPath: has no place where logs go to STDOUT"]],
  [{ logStream: "FILE" }, ["outputPath: must be given for FILE"]],
  [{ logStream: "ROTATED_FILE" }, ["outputPath: must be given for ROTATED_FILE"]],
  [
    { severityLevels: { a: "WARN" } },
    ['severityLevels.a: must be one of INFO, WARNING, ERROR, not "WARN" (did you mean WARNING?)'],
  ],
  [{ maxRotatedFiles: -1 }, ["maxRotatedFiles: must be at least 0, not -1"]],
])("parameters %j", (parameters, problems) => {
  expect(problemsOf(stdio, parameters)).toEqual(problems);
});

test("noop says yes", () => {
  const handler = openLocal(noop, {});
  expect(handler.check!({ template: "checknothing", name: "n" })).toMatchObject({ code: 0 });
  const request = { amount: 5, bestEffort: false, dedupId: "", nowMs: 0 };
  expect(handler.allocate!({ template: "quota", name: "q" }, request).granted).toBe(5);
  expect(handler.report!([entry("info")])).toEqual([]);
});

test("each line has its own time and its own names, whatever the line before had", () => {
  const at = (seconds: number, nanos: number, of: Dimensions) => ({
    ...entry("INFO", of),
    timestamp: { seconds, nanos },
  });
  const lines = written(
    {},
    at(0, 1_000, { b: text("1"), a: text("2") }),
    at(0, 999_999_999, { b: text("3"), a: text("4") }),
    at(60, 0, { c: text("5") }),
    at(59, 0, {}),
  );
  expect(lines.map((line) => line.replace(/"level".*?"time":|"instance":"[^"]*",?/g, ""))).toEqual([
    '{"1970-01-01T00:00:00.000001Z","a":"2","b":"1"}',
    '{"1970-01-01T00:00:00.999999Z","a":"4","b":"3"}',
    '{"1970-01-01T00:01:00.000000Z","c":"5"}',
    '{"1970-01-01T00:00:59.000000Z",}',
  ]);
});

test("what has not changed since the line before is written all the same", () => {
  const rows: Dimensions[] = [
    { a: text("x"), b: { type: "INT64", value: 1 }, c: text("z") },
    { a: text("x"), b: { type: "INT64", value: 1 }, c: text("z") },
    { a: text("x"), b: { type: "INT64", value: 20 }, c: text("z") },
    { a: text("longer"), b: { type: "INT64", value: 20 }, c: text("z") },
    { a: text("longer"), b: { type: "DOUBLE", value: 20 }, c: text('"') },
    { a: text("\u00e9"), b: { type: "DOUBLE", value: -0 }, c: text("") },
    { a: text("\u00e9"), b: { type: "DOUBLE", value: 0 }, c: text("z".repeat(100)) },
    { a: text("x"), b: { type: "INT64", value: -7 }, c: text("\ud83d\ude00\udcff") },
    { a: text("x"), b: { type: "INT64", value: 2 ** 40 }, c: { type: "DURATION", value: 1_500 } },
  ];
  const expected = rows.map(({ a, b, c }) => {
    const of = (one?: TypedValue): string =>
      typeof one?.value === "number" && Object.is(one.value, -0)
        ? "-0"
        : JSON.stringify(one?.value);
    return `"a":${of(a)},"b":${of(b)},"c":${c?.type === "DURATION" ? '"1.5µs"' : of(c)}}`;
  });
  const lines = written({}, ...rows.map((row) => entry("INFO", row)));
  expect(lines.map((line) => line.slice(line.indexOf('"a":')))).toEqual(expected);
});

test("a view that has changed is not what it was", () => {
  const view = new Map([["k", "1"]]);
  const path = join(folder(), "log");
  const handler = openLocal(stdio, { logStream: "FILE", outputPath: path });
  const row = { map: { type: "STRING_MAP", value: view } } as const;
  handler.report!([entry("INFO", row)]);
  view.set("k", "2");
  handler.report!([entry("INFO", row)]);
  handler.close();
  expect(readFileSync(path, "utf8").match(/"map":\{.*?\}/g)).toEqual([
    '"map":{"k":"1"}',
    '"map":{"k":"2"}',
  ]);
});

test("a line that was dropped leaves none but itself out", () => {
  const outputPath = join(folder(), "log");
  const environment = adapterEnvironment();
  const handler = openLocal(stdio, { logStream: "FILE", outputPath }, environment);
  const row = (a: string, b: string): Dimensions => ({ a: text(a), b: text(b) });
  handler.report!([entry("INFO", row("first", "same"))]);
  handler.report!([entry("INFO", row("x".repeat(5_000_000), "same"))]);
  for (const a of ["second", "third"]) handler.report!([entry("INFO", row(a, "same"))]);
  handler.close();
  const fields = readFileSync(outputPath, "utf8").match(/"a":.*/g);
  expect([...(fields ?? [])]).toEqual(
    ["first", "second", "third"].map((a) => `"a":"${a}","b":"same"}`),
  );
});
