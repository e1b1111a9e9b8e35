/**
 * Clients that leave, services that fail in every way, and rules that change, all at once: whatever
 * was taken is given back, and afterwards the mesh serves as before.
 */
import { afterEach, expect, test } from "bun:test";
import { type Random, seededRandom } from "../../core/random.ts";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { type FakeReply, type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import type { RawClient } from "../../testing/raw-client.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function oneOf<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)]!;
}

/** Answers in a way of its own each time. */
function moody(random: Random): FakeScript {
  const moods: readonly ((reply: FakeReply) => void | Promise<void>)[] = [
    (reply) => reply.respond(200, "ok"),
    (reply) => reply.respond(200, "ok"),
    (reply) => reply.respond(503, "no"),
    (reply) => reply.reset(),
    (reply) => reply.end(),
    () => {},
    (reply) => {
      reply.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
      reply.reset();
    },
    (reply) => reply.send("HTTP/1.1 200 OK\r\n\r\nuntil the end"),
    (reply) => {
      reply.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
      reply.end();
    },
    (reply) => reply.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nx"),
    (reply) => reply.send("nonsense\r\n\r\n"),
    (reply) =>
      reply.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    (reply) => reply.respond(200, "ok", { connection: "close" }),
    (reply) => {
      reply.send("HTTP/1.1 101 Switching Protocols\r\n");
      reply.send("connection: upgrade\r\nupgrade: websocket\r\n\r\nhello");
    },
    async (reply) => {
      await Bun.sleep(random() * 20);
      reply.respond(200, "late");
    },
  ];
  return (_request, reply) => oneOf(random, moods)(reply);
}

const requests: readonly string[] = [
  "GET / HTTP/1.1\r\nHost: svc\r\n\r\n",
  "HEAD / HTTP/1.1\r\nHost: svc\r\n\r\n",
  "GET / HTTP/1.0\r\nHost: svc\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 5\r\n\r\nhello",
  "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 9\r\n\r\nhalf",
  "POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
  "POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
  "GET / HTTP/1.1\r\nHost: svc\r\n\r\nGET / HTTP/1.1\r\nHost: svc\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: svc\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: svc\r\nConnection: close\r\n\r\n",
];

/** One client after another, each with a request or two and an end of its own. */
async function visit(mesh: EngineFixture, random: Random): Promise<void> {
  const client = await mesh.connect();
  for (let i = 0; i < 1 + random() * 2; i++) {
    client.send(oneOf(random, requests));
    await Bun.sleep(random() * 15);
  }
  oneOf<(client: RawClient) => void>(random, [
    (each) => each.terminate(),
    (each) => each.shutdown(),
    (each) => each.close(),
  ])(client);
  await client.until(() => client.ended, "the end").catch(() => client.terminate());
}

function rules(random: Random, ports: readonly number[]): Partial<EngineFixtureOptions> {
  return {
    endpoints: ports.filter(() => random() < 0.8),
    route: {
      timeoutMs: 60,
      retry: { attempts: 2, perTryTimeoutMs: 25, backoffMs: 1 },
      mirror: { cluster: "shadow", percent: 50 },
      fault: { delayMs: 5, delayPercent: 20, abortStatus: 418, abortPercent: 5 },
      websocket: random() < 0.8,
    },
    cluster: {
      circuitBreaker: {
        maxConnections: 1 + Math.floor(random() * 6),
        maxPendingRequests: 4,
        maxRequests: 8,
        maxRetries: 2,
        maxRequestsPerConnection: 1 + Math.floor(random() * 3),
      },
      outlier: {
        consecutiveErrors: 3,
        intervalMs: 50,
        baseEjectionMs: 20,
        maxEjectionPercent: 60,
      },
    },
  };
}

async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; waited < 1_500 && !holds(); waited++) await Bun.sleep(10);
}

test("nothing that was taken is kept, whoever leaves and however", async () => {
  const seed = Number(Bun.env.CHAOS_SEED ?? Math.floor(Math.random() * 1e9));
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const services = [1, 2, 3].map(() => new FakeUpstream({ script: moody(random) }));
  const shadow = new FakeUpstream({ script: moody(random) });
  closers.push(...[...services, shadow].map((service) => () => service.close()));
  const ports = services.map(({ port }) => port);
  const others = { shadow: shadow.port };
  const mesh = new EngineFixture({
    ...rules(random, ports),
    endpoints: ports,
    others,
    limits: { tunnelIdleMs: 100, stallTimeoutMs: 200, lingerMs: 50 },
  });
  closers.push(() => mesh.close());
  const cluster = mesh.engine.snapshot.clusters.get("svc")!;
  const shadows = mesh.engine.snapshot.clusters.get("shadow")!.endpoints;
  const everyEndpoint = new Set([...cluster.endpoints, ...shadows]);
  let running = true;
  const changes = (async () => {
    while (running) {
      await Bun.sleep(20);
      mesh.publish({ ...rules(random, ports), others });
      for (const endpoint of mesh.engine.snapshot.clusters.get("svc")!.endpoints)
        everyEndpoint.add(endpoint);
    }
  })();
  for (let round = 0; round < 20; round++)
    await Promise.all(Array.from({ length: 12 }, () => visit(mesh, random)));
  running = false;
  await changes;
  await until(() => mesh.engine.stats().downstreamConnections === 0);
  expect(mesh.engine.stats()).toMatchObject({ downstreamConnections: 0, exchanges: 0 });
  for (const service of [...services, shadow]) service.resetConnections();
  await until(() => mesh.engine.stats().upstreamConnections === 0);
  const { usage } = cluster.limits;
  expect([usage.connections, usage.pending, usage.requests, usage.retries]).toEqual([0, 0, 0, 0]);
  expect([...everyEndpoint].map(({ active }) => active).filter((n) => n !== 0)).toEqual([]);
  expect(mesh.engine.snapshot.clusters.get("shadow")!.limits.usage.connections).toBe(0);
  const text = mesh.scrape();
  for (const gauge of ["upstream_cx_active", "upstream_rq_active", "upstream_rq_pending_active"])
    expect(text).toContain(`envoy_cluster_${gauge}{envoy_cluster_name="svc"} 0`);

  for (const service of services) service.script = (_request, reply) => reply.respond(200, "well");
  mesh.publish({ endpoints: ports, others, route: {}, cluster: {} });
  const client = await mesh.connect();
  closers.push(() => client.terminate());
  for (let i = 0; i < 5; i++) {
    client.send(requests[0]!);
    expect((await client.takeResponse()).body).toBe("well");
  }
}, 20_000);
