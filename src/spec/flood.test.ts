/**
 * The built proxy under attack, at both of its doors: each attack is ended with the right word, is
 * seen in the metrics and the log, costs little memory, and good clients do not notice it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { AttackSocket } from "../testing/attack-socket.ts";
import { type Attack, attacks, slowAttacks } from "../testing/flood-attack.ts";
import { Load } from "./load.ts";
import { type Sidecar, startSidecar } from "./mesh.ts";
import { anonymousMb, Stage } from "./process.ts";

const MEMORY_MB = 100;
/** Attackers at a time, at each door. */
const ATTACKERS = 4;

const stage = new Stage();
/** In a process of its own: whoever attacks here has no time to accept 800 connections at once. */
const application = `
  const large = new Uint8Array(1 << 20);
  const { port } = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      await request.arrayBuffer();
      return new Response(request.url.endsWith("/large/file") ? large : "hello");
    },
  });
  console.log("port", port);
`;
let proxy: Sidecar;

beforeAll(async () => {
  const app = stage.run([process.execPath, "-e", application]);
  while (!app.output().includes("\n")) await Bun.sleep(10);
  const port = /port (\d+)/.exec(app.output())![1]!;
  proxy = await startSidecar(stage, [
    ...["--manager", "none", "--upstream", `svc=127.0.0.1:${port}`],
    ...["--service", "svc.default", "--app-port", port],
  ]);
}, 20_000);
afterAll(() => stage.close());

async function countOf(reason: string | undefined): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${proxy.admin}/stats/prometheus`);
  const start = `mesh_http2_connections_ended_total{reason="${reason}"} `;
  const line = (await response.text()).split("\n").find((one) => one.startsWith(start));
  return Number(line?.slice(start.length) ?? 0);
}

/** All attackers at once; returns what each was told, and how much memory it took. */
async function runAttack(attack: Attack, forMs: number) {
  const { pid } = proxy.running.child;
  const before = anonymousMb(pid);
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, anonymousMb(pid));
  }, 20);
  const doors = [proxy.outbound, proxy.inbound].flatMap((port) => Array(ATTACKERS).fill(port));
  const sockets = await Promise.all(
    doors.map((port: number) => AttackSocket.connect(port, attack.version)),
  );
  await Promise.all(sockets.map((socket) => attack.run(socket, "svc", forMs)));
  clearInterval(sampling);
  return { sockets, memoryMb: peak - before };
}

test.each([...attacks])(
  "$name",
  async (attack) => {
    const counted = await countOf(attack.reason);
    const load = new Load({ port: proxy.outbound, host: "svc", connections: 4 }).start();
    await load.reach(50);
    const { sockets, memoryMb } = await runAttack(attack, 1_000);
    await load.reach(50);
    expect((await load.stop()).failures).toEqual([]);
    expect(memoryMb).toBeLessThan(MEMORY_MB);
    if (attack.reason !== undefined) {
      for (const socket of sockets) {
        await socket.wait(10_000);
        expect(socket.closed).toBe(true);
        if (attack.answer !== undefined) expect(socket.said.at(-1)).toBe(attack.answer);
      }
      expect(await countOf(attack.reason)).toBe(counted + sockets.length);
    }
    for (const socket of sockets) socket.close();
  },
  60_000,
);

test("whoever is slow on purpose is sent away within twenty seconds", async () => {
  await Promise.all(
    slowAttacks.map(async (attack) => {
      const socket = await AttackSocket.connect(proxy.outbound, attack.version);
      await attack.run(socket, "svc", 22_000);
      expect([attack.name, socket.closed]).toEqual([attack.name, true]);
      if (attack.answer !== undefined) expect(socket.said.at(-1)).toBe(attack.answer);
    }),
  );
}, 30_000);

test("the log says what connections were ended for", () => {
  const output = proxy.running.output();
  expect(output).toMatch(/warn proxy ended an HTTP\/2 connection reason=http2-[a-z-]+ detail=/);
});
