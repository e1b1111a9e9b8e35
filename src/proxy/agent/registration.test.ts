/** A workload joins the mesh when its application answers, and leaves it before it stops. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { managerTransport } from "../../api/discovery/manager-transport.ts";
import { WorkloadSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import { FakeManager } from "../../testing/fake-manager.ts";
import { AppProbe } from "./app-probe.ts";
import { Registration } from "./registration.ts";

let manager: FakeManager;
let registration: Registration;
/** What it asked the clock for. */
let waitsMs: number[];

beforeEach(async () => {
  manager = await new FakeManager().start();
  waitsMs = [];
  registration = new Registration({
    transport: managerTransport(manager.url),
    workload: create(WorkloadSchema, { id: "reviews-1", service: "reviews", port: 15006 }),
    clock: {
      ...systemClock,
      after: (ms, callback) => {
        waitsMs.push(ms);
        return systemClock.after(ms, callback);
      },
    },
    random: seededRandom(1),
    log: new Log("test", { level: "error" }),
  });
});
afterEach(async () => {
  registration.abandon();
  await manager.kill();
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${condition}`);
    await Bun.sleep(2);
  }
}

test("the lease is renewed at a third of its time", async () => {
  registration.setHealthy(true);
  await until(() => manager.registry.length === 3);
  expect(new Set(waitsMs.filter((ms) => ms < 1_000))).toEqual(new Set([200]));
  expect(manager.registry).toEqual([
    "register reviews-1 healthy",
    "renew reviews-1 healthy",
    "renew reviews-1 healthy",
  ]);
  expect(registration.status()).toEqual({ at: "registered", healthy: true, faults: 0 });
});

test("an application that stops answering is told at once, and stays registered", async () => {
  manager.leaseTtlMs = 60_000;
  registration.setHealthy(true);
  await until(() => manager.registry.length === 1);
  registration.setHealthy(false);
  await until(() => manager.registry.length === 2);
  expect(manager.registry[1]).toBe("renew reviews-1 unhealthy");
});

test("a change while a call is under way is told by the next call", async () => {
  manager.leaseTtlMs = 60_000;
  registration.setHealthy(true);
  registration.setHealthy(false);
  await until(() => manager.registry.length === 2);
  expect(manager.registry).toEqual(["register reviews-1 healthy", "renew reviews-1 unhealthy"]);
});

test("a restarted manager, which knows nothing, is told again", async () => {
  registration.setHealthy(true);
  await until(() => registration.status().at === "registered");
  await manager.kill();
  await until(() => registration.status().faults > 0);
  await manager.start();
  await until(() => manager.workloads.size === 1);
  expect(manager.registry.at(-1)).toBe("register reviews-1 healthy");
});

test("withdrawing ends the lease; nothing is told afterwards", async () => {
  registration.setHealthy(true);
  await until(() => manager.registry.length === 1);
  expect(await registration.withdraw()).toBe(true);
  registration.setHealthy(false);
  registration.refresh();
  expect(manager.registry).toEqual(["register reviews-1 healthy", "withdraw reviews-1"]);
  expect(manager.workloads.size).toBe(0);
});

test("withdrawing while the registration is under way still ends the lease", async () => {
  registration.setHealthy(true);
  await registration.withdraw();
  expect(manager.workloads.size).toBe(0);
  expect(manager.registry.at(-1)).toBe("withdraw reviews-1");
});

test("withdrawing from a manager that is away takes no longer than a second", async () => {
  registration.setHealthy(true);
  await until(() => registration.status().at === "registered");
  await manager.kill();
  waitsMs = [];
  expect(await registration.withdraw()).toBe(false);
  expect(new Set(waitsMs)).toEqual(new Set([1_000]));
});

test("an application that never answered is nobody's to withdraw", async () => {
  expect(await registration.withdraw()).toBe(false);
  expect(manager.registry).toEqual([]);
});

test("the probe sees an application come and go", async () => {
  const seen: boolean[] = [];
  const listen = (port: number) =>
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
  let app = listen(0);
  const { port } = app;
  app.stop(true);
  const probe = new AppProbe({ hostname: "127.0.0.1", port }, systemClock, (healthy) =>
    seen.push(healthy),
  );
  probe.start();
  app = listen(port);
  await until(() => seen.length === 1);
  app.stop(true);
  await until(() => seen.length === 2);
  probe.stop();
  expect(seen).toEqual([true, false]);
});
