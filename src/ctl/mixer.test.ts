/** `mesh ctl mixer` against a real mixer, and `mesh ctl expr`, which needs none. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../core/clock.ts";
import { metricsOf } from "../testing/mixer-calls.ts";
import { type ServedMixer, serveMixer } from "../testing/mixer-set-up.ts";
import { runCtl } from "./run.ts";

const rules = `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-bob, namespace: istio-system }
spec:
  match: (source.user | "nobody") == "bob"
  actions:
  - handler:
      compiledAdapter: denier
      params: { status: { code: 7, message: not you }, validDuration: 20s, validUseCount: 50 }
    instances: [{ compiledTemplate: checknothing }]
`;

const directory = mkdtempSync(join(tmpdir(), "mesh-mixer-"));
let mixer: ServedMixer;
beforeAll(async () => {
  mixer = await serveMixer(rules);
});
afterAll(async () => {
  await mixer.close();
  rmSync(directory, { recursive: true });
});

async function ctl(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await runCtl(argv, {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    readStdin: async () => "",
    ...{ stdinIsTty: true, isTty: false, columns: 100, clock: systemClock },
    env: { MESH_MIXER: `127.0.0.1:${mixer.port}` },
  });
  return { code, out, err };
}

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

test("may bob? No, for so long, by what he is", async () => {
  const { code, out } = await ctl("mixer", "check", "-s", "source.user=bob");
  expect(code).toBe(1);
  expect(out).toContain("PermissionDenied");
  expect(out).toContain("valid: 20s, 50 uses\n");
  expect(out).toMatch(/^source\.user +EXACT$/m);
  expect(out).not.toContain("ABSENCE");
});

test("others may, and are told of their quotas", async () => {
  const ann = ["-s", "source.user=ann", "-q", "Requests=5"];
  const { code, out } = await ctl("mixc", "check", ...ann);
  expect([code, out]).toEqual([0, expect.stringContaining("status: OK\n")]);
  expect(out).toMatch(/^Requests +5 +1m0s +OK$/m);
  const json = await ctl("mixer", "check", ...ann, "-o", "json");
  expect(JSON.parse(json.out)).toMatchObject({
    status: "OK",
    quotas: [{ quota: "Requests", granted: 5 }],
  });
});

test("a report is told, as often as wanted", async () => {
  expect(await ctl("mixer", "report", "-i", "request.size=1")).toMatchObject({
    code: 0,
    out: "reported\n",
  });
  expect((await ctl("mixer", "report", "-i", "request.size=1", "-r", "3")).out).toBe(
    "reported 3 times\n",
  );
});

const counted = async (call: string): Promise<number> =>
  Number(
    new RegExp(`mixer_calls_total\\{call="${call}",code="OK"\\} (\\d+)`).exec(await page())?.[1] ??
      0,
  );
const page = (): Promise<string> => metricsOf(mixer.mixer);

test("several workers ask, and only how often each answer came is said", async () => {
  const before = await counted("Check");
  const quiet = ["-r", "5", "-c", "4", "--print_response=false"];
  const denied = await ctl("mixer", "check", "-s", "source.user=bob", ...quiet);
  expect(denied).toEqual({ code: 1, out: "PermissionDenied: 20\n", err: "" });
  const allowed = await ctl("mixer", "check", "-r", "2", "-c", "2", "--rate", "1000");
  expect(allowed.out.match(/^status: OK$/gm)).toHaveLength(4);
  expect((await counted("Check")) - before).toBe(24);
});

test("a report holds as many of the repeated as it may", async () => {
  const before = [await counted("Report"), await entries()];
  const batches = ["-r", "10", "-c", "2", "--report_batch_size", "4"];
  const { out } = await ctl("mixer", "report", "-s", "source.user=ann", ...batches);
  expect(out).toBe("reported 20 times\n");
  expect([await counted("Report"), await entries()]).toEqual([before[0]! + 6, before[1]! + 20]);
});

async function entries(): Promise<number> {
  return Number(/^mixer_report_entries_total (\d+)/m.exec(await page())?.[1] ?? 0);
}

test("a mixer that is not there is one calm sentence", async () => {
  const { code, err } = await ctl("mixer", "check", "--mixer", "127.0.0.1:1");
  expect([code, err]).toEqual([3, expect.stringContaining("no mixer answers at")]);
});

test.each<[flags: string[], err: string]>([
  [["mixer", "ask"], 'mixer "ask": check or report can be asked'],
  [["mixer", "check", "-s", "source.user"], '"source.user" is not NAME=VALUE'],
  [["mixer", "check", "-i", "request.size=big"], '"big" is no value for request.size'],
  [["mixer", "check", "-b", "connection.mtls=yes"], '"yes" is no value for connection.mtls'],
  [["mixer", "check", "-t", "request.time=now"], '"now" is no value for request.time'],
  [["mixer", "check", "-q", "a=many"], "many is no amount of a"],
  [["mixer", "check", "-r", "0"], '-r: 1 to 100000 are possible, not "0"'],
  [["mixer", "check", "-c", "many"], '-c: 1 to 1000 are possible, not "many"'],
  [["mixer", "check", "--rate", "1.5"], '--rate: 1 to 1000000 are possible, not "1.5"'],
  [["mixer", "report", "--report_batch_size", "0"], "--report_batch_size: 1 to 10000 are possible"],
])("%j is refused in words", async (flags, words) => {
  const { code, err } = await ctl(...flags);
  expect([code, err]).toEqual([2, expect.stringContaining(words)]);
});

const attributes = `
source.user: ann
source.ip: 10.0.0.1
request.size: 12
request.time: 2026-01-02T15:04:05Z
response.duration: 1.5s
connection.mtls: true
source.labels: { app: web }
`;

test.each<[expression: string, type: string, value: string]>([
  ["source.user", "STRING", '"ann"'],
  ["request.size > 10", "BOOL", "true"],
  ['source.ip == ip("10.0.0.1")', "BOOL", "true"],
  ["source.ip", "IP_ADDRESS", '"10.0.0.1"'],
  ["request.time", "TIMESTAMP", '"2026-01-02T15:04:05.000000Z"'],
  ["response.duration", "DURATION", '"1.5s"'],
  ["connection.mtls", "BOOL", "true"],
  ['source.labels["app"] | "none"', "STRING", '"web"'],
])("%s of attributes in a file", async (expression, type, value) => {
  const path = file("attributes.yaml", attributes);
  const { code, out } = await ctl("expr", expression, "--attributes", path);
  expect([code, out]).toEqual([0, expect.stringContaining(`type: ${type}\nvalue: ${value}\n`)]);
});

test("what an expression has read is told, and what it lacked", async () => {
  const { code, out } = await ctl(
    ...["expr", 'source.user == "a" && request.headers["x"] == ""', "-a", "source.user=a"],
  );
  expect(code).toBe(1);
  expect(out).toBe(
    "type: BOOL\nno value: lookup failed: 'request.headers'\n" +
      "read: request.headers ABSENCE\nread: source.user EXACT\n",
  );
});

test("without attributes only the type is told", async () => {
  expect(await ctl("expr", "request.size + 1")).toMatchObject({ code: 0, out: "type: INT64\n" });
});

test("of a wrong expression the place is shown", async () => {
  const { code, err } = await ctl("expr", "source.user == 5");
  const [line, caret, words] = err.split("\n");
  expect([code, line, caret]).toEqual([1, "source.user == 5", `${" ".repeat(15)}^`]);
  expect(words).toContain("typeError got INT64, expected STRING");
});

test("manifests of one's own count", async () => {
  const manifest = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: { name: mine, namespace: istio-system }
spec: { attributes: { my.score: { valueType: DOUBLE } } }
`;
  const path = file("manifest.yaml", manifest);
  expect(await ctl("expr", "my.score", "-f", path, "-d", "my.score=0.5")).toMatchObject({
    code: 0,
    out: "type: DOUBLE\nvalue: 0.5\nread: my.score EXACT\n",
  });
  expect((await ctl("expr", "my.score")).err).toContain("unknown attribute my.score");
});
