/** Connections to endpoints, and the limits of a cluster. */
import { describe, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { MessageHead } from "../../http/message-head.ts";
import { SendPool } from "../../io/send-buffer.ts";
import { TcpConnector } from "../../io/tcp-connector.ts";
import { TimerWheel } from "../../io/timer-wheel.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { published } from "../../testing/snapshot-sample.ts";
import { defaultEngineLimits, http2Times } from "../exchange/limits.ts";
import { EventClock } from "../transport/event-clock.ts";
import { Http2Context } from "../transport/http2-context.ts";
import { Http2Stats } from "../transport/http2-stats.ts";
import { upstreamHandlers } from "./connection.ts";
import { ConnectionPool, WaitingUsers } from "./pool.ts";
import { http2UpstreamHandlers, SessionPools } from "./session-pool.ts";

const setUp = engineSetUp();
type SetUp = Awaited<ReturnType<typeof setUp>>;
const GET = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";

/** Until so many requests wait for a connection. */
async function untilWaiting({ mesh }: Pick<SetUp, "mesh">, n: number): Promise<void> {
  const series = new RegExp(`upstream_rq_pending_active\\{[^}]*"svc"\\} ${n}$`, "m");
  while (!series.test(mesh.scrape())) await Bun.sleep(1);
}

describe("circuit breaker", () => {
  test("requests above the limit of connections wait for one, in order", async () => {
    const answers: (() => void)[] = [];
    const { client, service, connect, mesh } = await setUp(
      (request, reply) => void answers.push(() => reply.respond(200, request.target)),
      { cluster: { circuitBreaker: { maxConnections: 1 } } },
    );
    client.send(GET);
    await service.until(() => answers.length === 1);
    const others = [await connect(), await connect()];
    for (const [i, other] of others.entries()) {
      other.send(`GET /${i} HTTP/1.1\r\nHost: svc\r\n\r\n`);
      await untilWaiting({ mesh }, i + 1);
    }
    answers[0]?.();
    expect((await client.takeResponse()).status).toBe(200);
    await service.until(() => answers.length === 2);
    answers[1]?.();
    expect((await others[0]?.takeResponse())?.body).toBe("/0");
    await service.until(() => answers.length === 3);
    answers[2]?.();
    expect((await others[1]?.takeResponse())?.body).toBe("/1");
    expect(service.connections).toBe(1);
  });

  test("an idle connection to another endpoint is used where no more may be opened", async () => {
    const { service, mesh, connect, serve } = await setUp();
    mesh.publish({
      endpoints: [service.port, serve().port],
      cluster: { circuitBreaker: { maxConnections: 1 } },
    });
    const client = await connect();
    for (let i = 0; i < 6; i++) {
      client.send(GET);
      expect((await client.takeResponse()).status).toBe(200);
    }
    client.send("CONNECT svc:80 HTTP/1.1\r\nHost: svc:80\r\n\r\n");
    expect(await client.take("\r\n\r\n")).toStartWith("HTTP/1.1 200 ");
  });

  test("a request too many in the queue is refused at once", async () => {
    const { client, service, connect, mesh } = await setUp(() => {}, {
      cluster: { circuitBreaker: { maxConnections: 1, maxPendingRequests: 1 } },
    });
    client.send(GET);
    await service.until(() => service.requests.length === 1);
    const waiting = await connect();
    waiting.send(GET);
    const refused = await connect();
    await untilWaiting({ mesh }, 1);
    refused.send(GET);
    const answer = await refused.takeResponse();
    expect(answer.status).toBe(503);
    expect(answer.head).toContain("x-mesh-reason: circuit-breaker-open\r\n");
    expect(mesh.scrape()).toMatch(/upstream_rq_pending_overflow\{[^}]*\} 1/);
  });

  test("a client that leaves the queue frees its place", async () => {
    const { client, service, connect, mesh } = await setUp(() => {}, {
      cluster: { circuitBreaker: { maxConnections: 1, maxPendingRequests: 1 } },
    });
    client.send(GET);
    await service.until(() => service.requests.length === 1);
    const waiting = await connect();
    waiting.send(GET);
    await untilWaiting({ mesh }, 1);
    waiting.close();
    await untilWaiting({ mesh }, 0);
    const next = await connect();
    next.send(GET);
    await untilWaiting({ mesh }, 1);
    expect(next.received).toBe("");
    client.close();
    await service.until(() => service.requests.length === 2);
  });

  test("the limit of requests counts what is under way", async () => {
    const { client, service, connect } = await setUp(() => {}, {
      cluster: { circuitBreaker: { maxRequests: 1 } },
    });
    client.send(GET);
    await service.until(() => service.requests.length === 1);
    const other = await connect();
    other.send(GET);
    expect((await other.takeResponse()).status).toBe(503);
    client.close();
    await service.until(() => service.openConnections === 0);
    other.send(GET);
    await service.until(() => service.requests.length === 2);
  });

  test("a connection serves as many requests as it may", async () => {
    const { client, service } = await setUp(undefined, {
      cluster: { circuitBreaker: { maxRequestsPerConnection: 2 } },
    });
    for (let i = 0; i < 5; i++) {
      client.send(GET);
      await client.takeResponse();
    }
    expect(service.connections).toBe(3);
  });
});

test("a connection that ends does not wait for ever for a service that does not read", async () => {
  using listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: (socket) => void socket.pause(), data() {} },
  });
  const endpoint = { address: "127.0.0.1", port: listener.port };
  const config = {
    clusters: [{ name: "c", service: "reviews" }],
    endpointSets: [{ cluster: "c", endpoints: [endpoint] }],
  };
  const cluster = published(config).clusters.get("c")!;
  const timers = new TimerWheel(systemClock);
  const sendPool = new SendPool({ lowBytes: 1, highBytes: 1_000, maxBytes: 2_000_000 });
  const context = new Http2Context({
    clock: new EventClock(systemClock),
    timers,
    sendPool,
    requestHead: new MessageHead(),
    responseHead: new MessageHead(),
    times: http2Times(defaultEngineLimits),
    stats: new Http2Stats({ clock: systemClock, metrics: new Metrics(), log: new Log("test") }),
  });
  const sessionConnector = new TcpConnector(http2UpstreamHandlers, timers);
  const pool = new ConnectionPool(cluster.endpoints[0]!, undefined, {
    connector: new TcpConnector(upstreamHandlers, timers),
    sessions: new SessionPools({ connector: sessionConnector, context }),
    timers,
    sendPool,
    idleMs: 30,
    waiting: new WaitingUsers(),
    pools: new Set(),
    identity: undefined,
    expiry: { beforeMs: 0 },
  });
  cluster.limits.tryAcquireConnection();
  const opened = Promise.withResolvers<void>();
  const none = () => {};
  const connection = pool.connect(cluster, {
    upstreamOpened: opened.resolve,
    upstreamFailed: opened.reject,
    upstreamData: none,
    upstreamDrained: none,
    upstreamEnded: none,
    upstreamClosed: none,
    upstreamVacancy: none,
  });
  await opened.promise;
  const bytes = new Uint8Array(1_000_000);
  while (connection.waiting === 0) connection.send(bytes, 0, bytes.length);
  connection.close();
  expect(pool.open).toBe(1);
  while (pool.open > 0) await Bun.sleep(5);
  expect(cluster.limits.usage.connections).toBe(0);
});

describe("endpoints", () => {
  test("one that fails in a row is taken out of rotation", async () => {
    const { service, connect, serve, mesh } = await setUp((_request, reply) => reply.respond(500));
    const healthy = serve();
    mesh.publish({
      endpoints: [service.port, healthy.port],
      cluster: {
        outlier: {
          consecutiveErrors: 3,
          intervalMs: 1_000,
          baseEjectionMs: 30_000,
          maxEjectionPercent: 50,
        },
      },
    });
    const client = await connect();
    for (let i = 0; i < 20; i++) {
      client.send(GET);
      await client.takeResponse();
    }
    expect(service.requests.length).toBe(3);
    expect(healthy.requests.length).toBe(17);
  });

  test("one that is removed finishes its exchange and gets no other", async () => {
    let answer: (() => void) | undefined;
    const { client, service, mesh, serve } = await setUp((_request, reply) => {
      answer = () => reply.respond(200, "old");
    });
    const next = serve((_request, reply) => reply.respond(200, "new"));
    client.send(GET);
    await service.until(() => answer !== undefined);
    mesh.publish({ endpoints: [next.port] });
    answer?.();
    expect((await client.takeResponse()).body).toBe("old");
    await service.until(() => service.openConnections === 0);
    client.send(GET);
    expect((await client.takeResponse()).body).toBe("new");
  });

  test("one that stays keeps its connections when the rules change", async () => {
    const { client, service, mesh } = await setUp();
    for (let i = 0; i < 5; i++) {
      client.send(GET);
      await client.takeResponse();
      mesh.publish({ route: { appendRequestHeaders: [{ name: "x-n", value: String(i) }] } });
    }
    expect(service.connections).toBe(1);
    client.send(GET);
    await client.takeResponse();
    expect(service.requests.at(-1)?.field("x-n")).toBe("4");
  });

  test("idle connections end at their limit", async () => {
    const { client, service } = await setUp(undefined, { limits: { upstreamIdleMs: 30 } });
    client.send(GET);
    await client.takeResponse();
    await service.until(() => service.openConnections === 0);
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("idle connections end before the limit that the service states", async () => {
    const { client, service } = await setUp((_request, reply) =>
      reply.respond(200, "ok", { "Keep-Alive": "max=9, timeout=1" }),
    );
    // The service would keep it for a second; a busy machine may hold up one of the tries.
    let keptMs = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 5 && keptMs >= 1_000; tries++) {
      client.send(GET);
      await client.takeResponse();
      const start = performance.now();
      await service.until(() => service.openConnections === 0);
      keptMs = performance.now() - start;
    }
    expect(keptMs).toBeLessThan(1_000);
  });
});
