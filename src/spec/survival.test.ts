/** Parts of the mesh die, and users do not notice. */
import { afterAll, expect, test } from "bun:test";
import { Load } from "./load.ts";
import {
  get,
  managerPorts,
  managerUrl,
  startManager,
  startPair,
  startSidecar,
  startSidecarWith,
} from "./mesh.ts";
import { Stage, until } from "./process.ts";

const stage = new Stage();
afterAll(() => stage.close());

const HOST = "web:8000";

test("without its manager a mesh goes on, and a restarted proxy serves from disk", async () => {
  const ports = managerPorts();
  const manager = await startManager(stage, ports);
  const flags = ["--manager", managerUrl(ports)];
  const app = stage.application("hello");
  await startSidecar(stage, [
    ...flags,
    ...["--service", "web.default", "--app-port", String(app), "--service-port", "8000"],
  ]);
  const client = await startSidecar(stage, [...flags, "--service", "client.default"]);
  await until("the first answer", async () => (await get(client.outbound, HOST)).status === 200);

  const load = new Load({ port: client.outbound, host: HOST, connections: 8 }).start();
  await load.reach(500);
  manager.child.kill("SIGKILL");
  await manager.child.exited;
  await load.reach(2_000);
  await Bun.sleep(1_500);
  await load.reach(500);
  expect((await load.stop()).failures).toEqual([]);

  client.running.child.kill("SIGKILL");
  await client.running.child.exited;
  const again = await startSidecarWith(stage, client.args, client);
  const answer = await get(again.outbound, HOST);
  expect({ status: answer.status, body: answer.body }).toEqual({ status: 200, body: "hello" });

  const second = new Load({ port: again.outbound, host: HOST, connections: 8 }).start();
  await startManager(stage, ports);
  await second.reach(2_000);
  await Bun.sleep(2_000);
  expect((await second.stop()).failures).toEqual([]);
}, 90_000);

for (const victim of ["sidecar", "application"] as const) {
  test(`an instance whose ${victim} is killed under load costs no request`, async () => {
    const own = new Stage();
    try {
      const { callee, caller, crash } = await startPair(own, "pair");
      const load = new Load({ port: caller.outbound, host: "pair:8000", connections: 16 }).start();
      await load.reach(1_000);
      if (victim === "sidecar") callee[0].running.child.kill("SIGKILL");
      else crash();
      await load.reach(5_000);
      const { failures, bodies } = await load.stop();
      expect(failures).toEqual([]);
      expect(bodies.get("a")).toBeGreaterThan(0);
      const late = [];
      for (let i = 0; i < 30; i++) late.push((await get(caller.outbound, "pair:8000")).body);
      expect(late).toEqual(Array.from({ length: 30 }, () => "b"));
    } finally {
      await own.close();
    }
  }, 60_000);
}
