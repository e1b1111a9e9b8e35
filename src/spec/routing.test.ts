/** An operator steers traffic with rules, while it flows. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Load } from "./load.ts";
import {
  get,
  type ManagerPorts,
  managerPorts,
  managerUrl,
  startManager,
  startSidecar,
} from "./mesh.ts";
import { ctl, root, Stage, until } from "./process.ts";

const stage = new Stage();
const HOST = "reviews:9080";
let ports: ManagerPorts;
let outbound: number;

beforeAll(async () => {
  ports = managerPorts();
  await startManager(stage, ports);
  const manager = ["--manager", managerUrl(ports)];
  for (const version of ["v1", "v2", "v3"]) {
    const app = stage.application(version);
    await startSidecar(stage, [
      ...manager,
      ...["--service", "reviews.default", "--labels", `version=${version}`],
      ...["--app-port", String(app), "--service-port", "9080"],
    ]);
  }
  outbound = (await startSidecar(stage, [...manager, "--service", "client.default"])).outbound;
  await until("three instances of reviews", async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) seen.add((await get(outbound, HOST)).body);
    return seen.size === 3;
  });
}, 60_000);

afterAll(() => stage.close());

async function apply(...args: readonly string[]): Promise<void> {
  const result = await ctl("apply", "--manager", managerUrl(ports), ...args);
  expect({ code: result.code, err: result.err }).toEqual({ code: 0, err: "" });
}

test("a canary moves traffic within a second, and 20,000 requests split 90 to 10", async () => {
  await apply("-f", join(root, "rules", "bookinfo", "canary.yaml"));
  const applied = performance.now();
  let lastMs = 0;
  let streak = 0;
  await until("v2 to get nothing", async () => {
    const askedMs = performance.now() - applied;
    const { body } = await get(outbound, HOST);
    streak = body === "v2" ? 0 : streak + 1;
    if (body === "v2") lastMs = askedMs;
    return streak > 30;
  });
  expect(lastMs).toBeLessThan(1_000);
  const load = new Load({ port: outbound, host: HOST, connections: 8 }).start();
  // So many that chance alone strays by a percent once in 400,000 runs.
  await load.reach(20_000);
  const { bodies, failures, requests } = await load.stop();
  expect(failures).toEqual([]);
  const share = (bodies.get("v1") ?? 0) / requests;
  expect(share).toBeGreaterThan(0.89);
  expect(share).toBeLessThan(0.91);
  expect((bodies.get("v1") ?? 0) + (bodies.get("v3") ?? 0)).toBe(requests);
}, 60_000);

test("no request fails during 100 rule changes under load", async () => {
  const load = new Load({ port: outbound, host: HOST, connections: 16 }).start();
  const rule = (to: string, weight: number): string => `type: route-rule
name: reviews-default
spec:
  destination: reviews.default.svc.cluster.local
  precedence: 1
  route:
  - { tags: { version: v1 }, weight: ${weight} }
  - { tags: { version: ${to} }, weight: ${100 - weight} }
`;
  for (let i = 0; i < 100; i++) {
    const file = stage.file("changing.yaml", rule(i % 2 === 0 ? "v2" : "v3", i % 100));
    await apply("-f", file);
  }
  const { failures, requests } = await load.stop();
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(1_000);
}, 120_000);

test("a bad rule is refused with its place, and the last good one stays in force", async () => {
  const bad = stage.file(
    "bad.yaml",
    `type: route-rule
name: reviews-default
spec:
  destination: reviews.default.svc.cluster.local
  precedense: 1
`,
  );
  const current = () =>
    ctl("get", "route-rule", "reviews-default", "-o", "yaml", "--manager", managerUrl(ports));
  const before = await current();
  const refused = await ctl("apply", "-f", bad, "--manager", managerUrl(ports));
  expect(refused.code).toBe(1);
  expect(refused.err).toContain("bad.yaml:5:3");
  expect(refused.err).toContain("precedence");
  const after = await current();
  expect(after.out).toBe(before.out);
  expect((await get(outbound, HOST)).status).toBe(200);
});

test("a manager that is not there is said calmly, with exit code 3", async () => {
  const result = await ctl("services", "--manager", "http://127.0.0.1:1");
  expect(result.code).toBe(3);
  expect(result.err).toContain("127.0.0.1:1");
});
