/** A proxy of several threads is one proxy: to its users, its operator and its successor. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Load } from "./load.ts";
import {
  get,
  managerPorts,
  managerUrl,
  type Sidecar,
  startManager,
  startPair,
  startSidecar,
  startSidecarWith,
  status,
} from "./mesh.ts";
import { ctl, Stage, until } from "./process.ts";

const stage = new Stage();
/** With a manager of its own. */
const meshStage = new Stage();
afterAll(() => Promise.all([stage.close(), meshStage.close()]));

const TWO = ["--concurrency", "2"];
const alone = (port: number): string[] => [
  "--manager",
  "none",
  "--upstream",
  `web=127.0.0.1:${port}`,
];

/** The metrics of a proxy: "name{labels}" or "name" ─▶ value. */
async function scrape({ admin }: Sidecar): Promise<Map<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats/prometheus`)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]),
  );
}

function sumOf(samples: ReadonlyMap<string, number>, name: string): number {
  let sum = 0;
  for (const [key, value] of samples) if (key.split("{")[0] === name) sum += value;
  return sum;
}

let proxy: Sidecar;
beforeAll(async () => {
  proxy = await startSidecar(stage, [...alone(stage.application("hello")), ...TWO]);
}, 30_000);

test("two workers serve one port, each a part of the connections", async () => {
  const load = new Load({
    port: proxy.outbound,
    host: "web",
    connections: 40,
    pauseMs: 20,
  }).start();
  await load.reach(200);
  const samples = await scrape(proxy);
  const each = [0, 1].map((id) =>
    samples.get(`envoy_listener_worker_downstream_cx_active{envoy_worker_id="${id}"}`),
  );
  expect((await load.stop()).failures).toEqual([]);
  expect(each[0]! + each[1]!).toBe(40);
  expect(Math.min(...each.map((count) => count ?? 0))).toBeGreaterThan(4);
  expect(samples.get("envoy_http_downstream_cx_active")).toBe(40);
}, 30_000);

test("a scrape counts every request of all workers, exactly", async () => {
  const before = sumOf(await scrape(proxy), "istio_requests_total");
  const load = new Load({ port: proxy.outbound, host: "web", connections: 10 }).start();
  await load.reach(1_000);
  const { requests } = await load.stop();
  const counted = async (): Promise<number> =>
    sumOf(await scrape(proxy), "istio_requests_total") - before;
  await until("the last request to be counted", async () => (await counted()) >= requests);
  const samples = await scrape(proxy);
  expect(sumOf(samples, "istio_requests_total") - before).toBe(requests);
  expect(sumOf(samples, "istio_request_duration_milliseconds_count")).toBe(before + requests);
  expect(sumOf(samples, "envoy_cluster_membership_total")).toBe(1);
}, 30_000);

test("another proxy that is given the same port by mistake does not start", async () => {
  const { port } = new URL(`http://127.0.0.1:${proxy.outbound}`);
  const other = stage.mesh([
    ...["proxy", "--manager", "none", "--outbound", `127.0.0.1:${port}`, "--admin", "127.0.0.1:0"],
    ...["--readiness", "127.0.0.1:0", "--state-dir", `${stage.directory}/other`, ...TWO],
  ]);
  expect(await other.child.exited).toBe(1);
  expect(other.output()).toContain(`127.0.0.1:${port} is taken: choose another with --outbound`);
}, 30_000);

test("a rule is in force in all workers within a second", async () => {
  const ports = managerPorts();
  await startManager(stage, ports);
  const manager = ["--manager", managerUrl(ports)];
  for (const version of ["v1", "v2"]) {
    await startSidecar(stage, [
      ...[...manager, "--service", "reviews.default", "--labels", `version=${version}`],
      ...["--app-port", String(stage.application(version)), "--service-port", "9080"],
    ]);
  }
  const client = await startSidecar(stage, [...manager, ...TWO, "--service", "client.default"]);
  // Each request on a connection of its own, dealt out anew.
  const ask = async (): Promise<string> =>
    (await get(client.outbound, "reviews:9080", "/", { connection: "close" })).body;
  for (const to of ["v1", "v2", "v1"]) {
    const rule = `type: route-rule
name: reviews-default
spec:
  destination: reviews.default.svc.cluster.local
  route:
  - tags: { version: ${to} }
`;
    const file = stage.file("rule.yaml", rule);
    expect((await ctl("apply", "--manager", managerUrl(ports), "-f", file)).err).toBe("");
    const applied = performance.now();
    let lateMs = 0;
    for (let streak = 0; streak < 40; streak++) {
      if ((await ask()) === to) continue;
      streak = 0;
      lateMs = performance.now() - applied;
    }
    expect({ to, isLate: lateMs > 1_000 }).toEqual({ to, isLate: false });
  }
  const dump = await (await fetch(`http://127.0.0.1:${client.admin}/config_dump`)).json();
  expect(dump).toMatchObject({ source: "manager" });
}, 60_000);

test("SIGTERM under load with keep-alive clients: no failed request", async () => {
  const { callee, caller } = await startPair(meshStage, "term", TWO);
  const load = (pauseMs?: number): Load => {
    const pause = pauseMs === undefined ? {} : { pauseMs };
    const port = caller.outbound;
    return new Load({ port, host: "term:8000", connections: 16, ...pause }).start();
  };
  const [busy, slow] = [load(), load(150)];
  await busy.reach(1_000);
  callee[0].running.child.kill("SIGTERM");
  expect(await callee[0].running.child.exited).toBe(0);
  await busy.reach(1_000);
  expect((await busy.stop()).failures).toEqual([]);
  expect((await slow.stop()).failures).toEqual([]);
}, 90_000);

/** As many as before, and more: of those the predecessor has no sockets. */
test.each([
  [2, 2],
  [2, 3],
  [1, 2],
])(
  "%i workers are followed by %i without a failed request",
  async (before, after) => {
    const app = stage.application("hello");
    const count = (n: number): string[] => ["--concurrency", String(n)];
    const flags = [...alone(app), "--service", `restart-${before}-${after}.default`];
    const first = await startSidecar(stage, [...flags, ...count(before)]);
    const { outbound: port } = first;
    const load = new Load({ port, host: "web", connections: 16 }).start();
    const slow = new Load({ port, host: "web", connections: 8, pauseMs: 50 }).start();
    const short = shortConnections(port);
    await load.reach(1_000);
    const again = [...first.args, "--restart"].map((arg, i, all) =>
      all[i - 1] === "--concurrency" ? String(after) : arg,
    );
    const second = await startSidecarWith(stage, again, first);
    expect(await first.running.child.exited).toBe(0);
    await load.reach(1_000);
    expect((await load.stop()).failures).toEqual([]);
    expect((await slow.stop()).failures).toEqual([]);
    expect(await short.stop()).toEqual([]);
    expect(second.running.child.exitCode).toBeNull();
  },
  60_000,
);

/** New connections all the time; `stop` says which failed. */
function shortConnections(port: number): { stop(): Promise<string[]> } {
  const failures: string[] = [];
  let ends = false;
  const run = async (): Promise<void> => {
    while (!ends) {
      try {
        const answer = await get(port, "web", "/", { connection: "close" });
        if (answer.status !== 200) failures.push(String(answer.status));
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const running = Promise.all([run(), run(), run()]);
  return {
    async stop() {
      ends = true;
      await running;
      return failures;
    },
  };
}

test("the access log has one whole line for each exchange, through a pipe", async () => {
  const logging = await startSidecar(stage, [
    ...alone(stage.application("hello")),
    ...[...TWO, "--access-log", "/dev/stdout", "--access-log-encoding", "JSON"],
  ]);
  const path = `/${"x".repeat(2_000)}`;
  const load = new Load({ port: logging.outbound, host: "web", connections: 16, path }).start();
  await load.reach(5_000);
  const { requests } = await load.stop();
  logging.running.child.kill("SIGTERM");
  expect(await logging.running.child.exited).toBe(0);
  const lines = (): string[] =>
    logging.running
      .output()
      .split("\n")
      .filter((line) => line.startsWith("{"));
  await until("all lines to be read", () => lines().length >= requests);
  expect(lines().map((line) => JSON.parse(line).path)).toEqual(Array(requests).fill(path));
}, 60_000);

test("a tap hears all workers, and a log level reaches them", async () => {
  const tap = fetch(`http://127.0.0.1:${proxy.admin}/tap?max=20`).then((answer) => answer.text());
  // Whether somebody listens is known to the workers a moment later.
  const load = new Load({ port: proxy.outbound, host: "web", connections: 8, pauseMs: 5 }).start();
  expect((await tap).match(/^data: /gm)).toHaveLength(20);
  expect((await load.stop()).failures).toEqual([]);
  const logging = `http://127.0.0.1:${proxy.admin}/logging?level=debug`;
  expect(await (await fetch(logging, { method: "POST" })).text()).toBe("level: debug\n");
}, 30_000);

test("kill -9 leaves nothing: no port, no thread, no application", async () => {
  const app = stage.application("hello");
  const args = [...alone(app), ...TWO];
  const victim = await startSidecar(stage, args, ["sleep", "4711"]);
  const { pid } = victim.running.child;
  const children = async (): Promise<string> =>
    await new Response(Bun.spawn(["pgrep", "-P", String(pid)]).stdout).text();
  const application = Number(await children());
  expect(application).toBeGreaterThan(0);
  victim.running.child.kill("SIGKILL");
  await victim.running.child.exited;
  expect(await status(victim.outbound, "/")).toBe(0);
  await until("the application to end", () => !isAlive(application));
  const again = await startSidecarWith(stage, victim.args, victim);
  expect((await get(again.outbound, "web")).body).toBe("hello");
}, 30_000);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
