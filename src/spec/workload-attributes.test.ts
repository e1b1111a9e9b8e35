/** Applications that ask a mixer say who calls by an id; rules and metrics know the workload. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import {
  get,
  type ManagerPorts,
  managerPorts,
  managerUrl,
  type Sidecar,
  startManager,
  startSidecar,
  status,
} from "./mesh.ts";
import { ctl, Stage, until } from "./process.ts";

const stage = new Stage();
const telemetry = join(import.meta.dir, "..", "..", "rules", "telemetry");
let api = "";
let monitor = "";
let ports: ManagerPorts;
let reviews: Sidecar;

beforeAll(async () => {
  ports = managerPorts();
  await startManager(stage, ports);
  const mixer = stage.mesh([
    "mixer",
    ...["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    ...["--manager", managerUrl(ports), "--state-dir", join(stage.directory, "mixer")],
  ]);
  await until("a mixer to be ready", async () => {
    const at = /api (\S+:\d+), metrics http:\/\/\S+:(\d+)\//.exec(mixer.output());
    [, api = "", monitor = ""] = at ?? [];
    return at !== null && (await status(Number(monitor), "/ready")) === 200;
  }).catch((cause: unknown) => {
    throw new Error(`it said: ${mixer.output()}`, { cause });
  });
}, 60_000);

afterAll(() => stage.close());

const mixer = (): readonly string[] => ["--mixer", api];

async function metrics(): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${monitor}/metrics`)).text();
}

test("a report by the id of a registered workload is counted under its name", async () => {
  for (const name of ["workload-attributes.yaml", "metrics.yaml"]) {
    const file = join(telemetry, name);
    const { code, err } = await ctl("apply", "--manager", managerUrl(ports), "-f", file);
    expect({ code, err }).toEqual({ code: 0, err: "" });
  }
  reviews = await startSidecar(stage, [
    ...["--manager", managerUrl(ports), "--service", "reviews.default", "--id", "r-1.default"],
    ...["--app-port", String(stage.application("ok")), "--labels", "version=v2"],
  ]);
  const report = (uid: string) => {
    const said = `source.uid=${uid},context.protocol=http`;
    return ctl("mixer", "report", ...mixer(), "-s", said);
  };
  const known =
    /^istio_requests_total\{.*source_app="reviews".*source_workload="reviews-v2".*\} \d/m;
  await until("the workload to be known", async () => {
    const { code, err } = await report("kubernetes://r-1.default");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    return known.test(await metrics());
  });
  expect(await report("kubernetes://nobody.default")).toMatchObject({ code: 0 });
  expect(await metrics()).toMatch(/^istio_requests_total\{.*source_workload="unknown".*\} \d/m);
}, 60_000);

test("a rule judges it by the same name", async () => {
  const file = stage.file(
    "no-reviews.yaml",
    `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-reviews, namespace: istio-system }
spec:
  match: (source.workload.name | "") == "reviews-v2"
  actions:
  - handler: { compiledAdapter: denier, params: { status: { code: 7, message: not you } } }
    instances: [{ compiledTemplate: checknothing }]
`,
  );
  const applied = await ctl("apply", "--manager", managerUrl(ports), "-f", file);
  expect({ code: applied.code, err: applied.err }).toEqual({ code: 0, err: "" });
  const check = (uid: string) => ctl("mixer", "check", ...mixer(), "-s", `source.uid=${uid}`);
  await until("the rule to be in force", async () => (await check("r-1.default")).code === 1);
  expect((await check("r-1.default")).out).toContain("PermissionDenied");
  expect((await check("nobody.default")).code).toBe(0);
}, 60_000);

test("a proxy fills what it does not know itself, and replaces nothing", async () => {
  const file = stage.file(
    "no-account.yaml",
    `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-account, namespace: default }
spec:
  match: >-
    destination.serviceAccount == "unknown" && destination.container.name == "unknown"
    && destination.workload.name == "reviews-v2" && request.url_path == "/filled"
  actions:
  - handler: { compiledAdapter: denier, params: { status: { code: 7, message: filled } } }
    instances: [{ compiledTemplate: checknothing }]
`,
  );
  const applied = await ctl("apply", "--manager", managerUrl(ports), "-f", file);
  expect({ code: applied.code, err: applied.err }).toEqual({ code: 0, err: "" });
  const ask = (path: string) => get(reviews.inbound, "reviews.default", path);
  await until("the rule to be in force", async () => (await ask("/filled")).status === 403);
  expect((await ask("/other")).status).toBe(200);
}, 60_000);
