/** Parts of the mesh die, and users do not notice. */
import { afterAll, expect, test } from "bun:test";
import { Load } from "./load.ts";
import {
  get,
  managerPorts,
  managerUrl,
  startManager,
  startSidecar,
  startSidecarWith,
} from "./mesh.ts";
import { Stage, until } from "./process.ts";

const stage = new Stage();
afterAll(() => stage.close());

const HOST = "web:8000";

test("without its manager a mesh goes on, and a restarted proxy serves from disk", async () => {
  const ports = await managerPorts();
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

test("an instance that is killed under load costs no request", async () => {
  const ports = await managerPorts();
  const own = new Stage();
  try {
    await startManager(own, ports);
    const flags = ["--manager", managerUrl(ports)];
    const sidecars = [];
    for (const body of ["a", "b"]) {
      const app = own.application(body);
      sidecars.push(
        await startSidecar(own, [
          ...flags,
          ...["--service", "pair.default", "--app-port", String(app), "--service-port", "8000"],
        ]),
      );
    }
    const client = await startSidecar(own, [...flags, "--service", "client.default"]);
    await until("both", async () => {
      const bodies = new Set<string>();
      for (let i = 0; i < 8; i++) bodies.add((await get(client.outbound, "pair:8000")).body);
      return bodies.size === 2;
    });
    const load = new Load({ port: client.outbound, host: "pair:8000", connections: 16 }).start();
    await load.reach(1_000);
    sidecars[0]!.running.child.kill("SIGKILL");
    await load.reach(5_000);
    const { failures, bodies } = await load.stop();
    expect(failures).toEqual([]);
    expect(bodies.get("a")).toBeGreaterThan(0);
    const late = [];
    for (let i = 0; i < 30; i++) late.push((await get(client.outbound, "pair:8000")).body);
    expect(late).toEqual(Array.from({ length: 30 }, () => "b"));
  } finally {
    await own.close();
  }
}, 60_000);
