/** Proxies stop, restart and follow their application, and no request fails. */
import { afterAll, expect, test } from "bun:test";
import { Load } from "./load.ts";
import { startPair, startSidecar, startSidecarWith } from "./mesh.ts";
import { Stage } from "./process.ts";

const stage = new Stage();
afterAll(() => stage.close());

test("SIGTERM under load with keep-alive clients: no failed request", async () => {
  const { callee, caller } = await startPair(stage, "web");
  const busy = new Load({ port: caller.outbound, host: "web:8000", connections: 16 }).start();
  const slow = new Load({
    port: caller.outbound,
    host: "web:8000",
    connections: 16,
    pauseMs: 150,
  }).start();
  await busy.reach(1_000);
  callee[0].running.child.kill("SIGTERM");
  expect(await callee[0].running.child.exited).toBe(0);
  await busy.reach(1_000);
  expect((await busy.stop()).failures).toEqual([]);
  expect((await slow.stop()).failures).toEqual([]);
}, 90_000);

test("a second proxy takes over the ports of the first without a failed request", async () => {
  const app = stage.application("hello");
  const first = await startSidecar(stage, [
    ...["--manager", "none", "--upstream", `web=127.0.0.1:${app}`],
    ...["--service", "restart.default"],
  ]);
  const load = new Load({ port: first.outbound, host: "web", connections: 16 }).start();
  const slow = new Load({ port: first.outbound, host: "web", connections: 8, pauseMs: 50 }).start();
  await load.reach(1_000);
  const second = await startSidecarWith(stage, [...first.args, "--restart"], first);
  expect(await first.running.child.exited).toBe(0);
  await load.reach(1_000);
  expect((await load.stop()).failures).toEqual([]);
  expect((await slow.stop()).failures).toEqual([]);
  expect(second.running.child.exitCode).toBeNull();
}, 60_000);

test("a wrapped application starts when the proxy is ready, and gives its exit code", async () => {
  const app = stage.application("hello");
  const script =
    'test "$HTTP_PROXY" && curl -sf http://web/ -o answer.txt && cat answer.txt && exit 7';
  const running = stage.mesh([
    "proxy",
    ...["--manager", "none", "--upstream", `web=127.0.0.1:${app}`],
    ...["--outbound", "127.0.0.1:0", "--inbound", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    ...["--readiness", "127.0.0.1:0", "--state-dir", stage.directory],
    ...["--", "sh", "-c", script],
  ]);
  expect({ code: await running.child.exited, output: running.output() }).toMatchObject({ code: 7 });
  expect(running.output()).toContain("hello");
}, 30_000);
