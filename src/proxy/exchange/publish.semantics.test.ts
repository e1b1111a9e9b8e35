/** New configurations under load: no exchange fails, and each sees one configuration as a whole. */
import { afterEach, expect, test } from "bun:test";
import { EngineFixture } from "../../testing/engine-fixture.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import type { RawClient } from "../../testing/raw-client.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const GET = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";

function service(name: string): FakeUpstream {
  const made = new FakeUpstream({ script: (_request, reply) => reply.respond(200, name) });
  closers.push(() => made.close());
  return made;
}

/** Asks again and again until told to stop; returns how often. Fails on anything but 200. */
async function load(client: RawClient, running: () => boolean): Promise<number> {
  let asked = 0;
  while (running()) {
    client.send(GET);
    const answer = await client.takeResponse();
    if (answer.status !== 200) throw new Error(answer.head);
    asked++;
  }
  return asked;
}

test("a hundred changes of rules, limits and endpoints under load fail no request", async () => {
  const services = ["a", "b", "c"].map(service);
  const ports = services.map(({ port }) => port);
  const mesh = new EngineFixture({ endpoints: ports });
  closers.push(() => mesh.close());
  const clients = await Promise.all(Array.from({ length: 8 }, () => mesh.connect()));
  closers.push(...clients.map((client) => () => client.terminate()));
  let running = true;
  const asking = clients.map((client) => load(client, () => running));
  for (let change = 0; change < 100; change++) {
    mesh.publish({
      endpoints: ports.filter((_, i) => i !== change % 4),
      route: { name: `rule ${change}`, timeoutMs: 2_000 + change },
      cluster: { connectTimeoutMs: 1_000 + change, circuitBreaker: { maxRequests: 50 + change } },
    });
    await Bun.sleep(2);
  }
  running = false;
  const asked = await Promise.all(asking);
  expect(Math.min(...asked)).toBeGreaterThan(5);
  expect(mesh.scrape()).toMatch(/upstream_rq_active\{envoy_cluster_name="svc"\} 0/);
  expect(mesh.engine.snapshot.clusters.get("svc")!.limits.usage.requests).toBe(0);
});

test("an endpoint that is taken away finishes what it was asked, then closes", async () => {
  const replies: (() => void)[] = [];
  const old = new FakeUpstream({
    script: (_request, reply) => void replies.push(() => reply.respond(200, "old")),
  });
  closers.push(() => old.close());
  const young = service("young");
  const mesh = new EngineFixture({ endpoints: [old.port] });
  closers.push(() => mesh.close());
  const [first, second] = [await mesh.connect(), await mesh.connect()];
  closers.push(
    () => first.terminate(),
    () => second.terminate(),
  );
  first.send(GET);
  await old.until(() => replies.length === 1);
  mesh.publish({ endpoints: [young.port] });
  second.send(GET);
  expect((await second.takeResponse()).body).toBe("young");
  replies[0]!();
  expect((await first.takeResponse()).body).toBe("old");
  await old.until(() => old.openConnections === 0);
  first.send(GET);
  expect((await first.takeResponse()).body).toBe("young");
});

test("idle connections to an endpoint that is taken away are closed at once", async () => {
  const [old, young] = [service("old"), service("young")];
  const mesh = new EngineFixture({ endpoints: [old.port] });
  closers.push(() => mesh.close());
  const client = await mesh.connect();
  closers.push(() => client.terminate());
  client.send(GET);
  expect((await client.takeResponse()).body).toBe("old");
  expect(old.openConnections).toBe(1);
  mesh.publish({ endpoints: [young.port] });
  await old.until(() => old.openConnections === 0, 2_000);
});

test("a cluster that goes while in use gives back what was taken, and its series go", async () => {
  const replies: (() => void)[] = [];
  const old = new FakeUpstream({
    script: (_request, reply) => void replies.push(() => reply.respond(200, "old")),
  });
  closers.push(() => old.close());
  const young = service("young");
  const mesh = new EngineFixture({
    endpoints: [young.port],
    others: { old: old.port },
    route: { action: { case: "forward", value: { clusters: [{ cluster: "old" }] } } },
  });
  closers.push(() => mesh.close());
  const client = await mesh.connect();
  closers.push(() => client.terminate());
  client.send(GET);
  await old.until(() => replies.length === 1);
  const { usage } = mesh.engine.snapshot.clusters.get("old")!.limits;
  expect(usage.requests).toBe(1);
  const { limits } = mesh.engine.snapshot.clusters.get("old")!;
  mesh.publish({
    others: {},
    route: { action: { case: "forward", value: { clusters: [{ cluster: "svc" }] } } },
  });
  expect(mesh.scrape()).toContain('envoy_cluster_name="old"');
  replies[0]!();
  expect((await client.takeResponse()).body).toBe("old");
  client.send(GET);
  expect((await client.takeResponse()).body).toBe("young");
  await old.until(() => old.openConnections === 0);
  expect([limits.usage.requests, limits.usage.pending]).toEqual([0, 0]);
  expect(mesh.scrape()).not.toContain('envoy_cluster_name="old"');
});
