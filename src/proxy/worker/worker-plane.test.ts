/** Several threads of one process carry traffic, started from source. */
import { afterEach, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { formatProblem } from "../../core/problem.ts";
import { SharedLevel } from "../../core/shared-level.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { config } from "../../testing/snapshot-sample.ts";
import { parseProxyFlags } from "../flags.ts";
import { FIXTURE } from "./worker-death.fixture.ts";
import { WorkerPlane } from "./worker-plane.ts";

const planes: WorkerPlane[] = [];
afterEach(async () => {
  for (const plane of planes.splice(0)) await plane.close();
});

function planeOf(outbound = 0): WorkerPlane {
  const parsed = parseProxyFlags(["--outbound", String(outbound), "--concurrency", "3"]);
  if (parsed.at !== "flags") throw new Error(JSON.stringify(parsed));
  const { flags } = parsed;
  const plane = new WorkerPlane({ flags, clock: systemClock, level: new SharedLevel("error") });
  planes.push(plane);
  return plane;
}

/** Everything is answered with this; or with a cluster that is not there. */
function answering(body: string, cluster?: string) {
  const direct = { status: 200, body };
  const action = cluster === undefined ? { direct } : { forward: { clusters: [{ cluster }] } };
  const routes = [{ name: "r", ...action }];
  return config({ version: body, virtualHosts: [{ name: "h", domains: ["*"], routes }] });
}

async function bodies(plane: WorkerPlane, count = 30): Promise<string[]> {
  const { port } = plane.address("outbound")!;
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
    seen.add(await answer.text());
  }
  return [...seen];
}

test("a configuration is in force in all threads when apply resolves", async () => {
  const plane = planeOf();
  await plane.listen(undefined);
  expect((await bodies(plane)).join()).toContain("no configuration yet");
  for (const version of ["one", "two", "three"]) {
    expect(await plane.apply(answering(version))).toEqual([]);
    expect(await bodies(plane)).toEqual([version]);
  }
}, 20_000);

test("one with problems is refused by all, with its problems, and the former stays", async () => {
  const plane = planeOf();
  await plane.listen(undefined);
  await plane.apply(answering("good"));
  const refused = plane.apply(answering("bad", "nowhere"));
  const next = plane.apply(answering("next"));
  expect((await refused).map(formatProblem).join()).toContain('"nowhere"');
  expect(await next).toEqual([]);
  expect(await bodies(plane)).toEqual(["next"]);
  await plane.apply(answering("bad", "nowhere"));
  expect(await bodies(plane)).toEqual(["next"]);
}, 20_000);

test("threads are drained together, and the port is free after it", async () => {
  const plane = planeOf();
  await plane.listen(undefined);
  const { port } = plane.address("outbound")!;
  const names = plane.offered().map(({ name }) => name);
  // "outbound6" and so on beside them, where this machine has IPv6.
  const ofIpv4 = names.filter((name) => !name.startsWith("outbound6"));
  expect(ofIpv4).toEqual(["outbound", "outbound#1", "outbound#2"]);
  await plane.drainOutbound(100);
  expect(await fetch(`http://127.0.0.1:${port}/`).catch(() => "refused")).toBe("refused");
  const next = planeOf(port);
  await next.listen(undefined);
  expect(next.address("outbound")?.port).toBe(port);
}, 20_000);

test("a port that is taken is a fault with the flag to change", async () => {
  const first = planeOf();
  await first.listen(undefined);
  const { port } = first.address("outbound")!;
  const second = planeOf(port);
  await expect(second.listen(undefined)).rejects.toThrow(`127.0.0.1:${port} is taken`);
}, 20_000);

test("a scrape shows what threads count that are told of nothing", async () => {
  const plane = planeOf();
  await plane.listen(undefined);
  await plane.apply(answering("hello"));
  await bodies(plane, 50);
  const counted = (): string[] =>
    renderPrometheus(plane.registries())
      .split("\n")
      .filter((line) => /^istio_requests_total.* 50$/.test(line));
  while (counted().length === 0) await Bun.sleep(10);
  expect(counted()).toHaveLength(1);
}, 20_000);

test.each([
  ["throws", "what is published has been prepared"],
  ["rejects", "a Worker is started before it is asked anything"],
])(
  "a worker that %s ends the process, with its reason",
  async (how, reason) => {
    const child = Bun.spawn([process.execPath, FIXTURE, how], { stdout: "pipe", stderr: "pipe" });
    const said = await new Response(child.stderr).text();
    expect({ code: await child.exited, said }).toMatchObject({ code: 1 });
    expect(said).toContain(reason);
    expect(said).toContain("worker 1:");
  },
  20_000,
);
