/** Circuit breakers and outlier ejection, on real sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { type FakeReply, type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import type { RawClient } from "../../testing/raw-client.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

interface Mesh {
  readonly services: readonly FakeUpstream[];
  readonly mesh: EngineFixture;
  readonly connect: () => Promise<RawClient>;
}

function setUp(scripts: readonly FakeScript[], options: Partial<EngineFixtureOptions>): Mesh {
  const services = scripts.map((script) => new FakeUpstream({ script }));
  const mesh = new EngineFixture({ endpoints: services.map(({ port }) => port), ...options });
  closers.push(() => mesh.close(), ...services.map((service) => () => service.close()));
  const connect = async (): Promise<RawClient> => {
    const client = await mesh.connect();
    closers.push(() => client.terminate());
    return client;
  };
  return { services, mesh, connect };
}

const GET = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";
const ok: FakeScript = (_request, reply) => reply.respond(200, "ok");
const fails: FakeScript = (_request, reply) => reply.respond(503, "no");

/** Fails after twenty seconds. */
async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited++) {
    if (waited > 2_000) throw new Error("it did not come about");
    await Bun.sleep(10);
  }
}

/** Keeps replies until they are let go. */
class Held {
  readonly replies: FakeReply[] = [];
  readonly script: FakeScript = (_request, reply) => void this.replies.push(reply);
}

describe("a circuit breaker", () => {
  test("refuses requests above its maximum with 503 UO, and lets others in later", async () => {
    const held = new Held();
    const { services, mesh, connect } = setUp([held.script], {
      cluster: { circuitBreaker: { maxRequests: 1 } },
    });
    const [first, second] = [await connect(), await connect()];
    first.send(GET);
    await services[0]!.until(() => held.replies.length === 1);
    second.send(GET);
    const refused = await second.takeResponse();
    expect(refused.status).toBe(503);
    expect(refused.head).toContain("x-mesh-reason: circuit-breaker-open");
    held.replies[0]!.respond(200, "ok");
    expect((await first.takeResponse()).status).toBe(200);
    second.send(GET);
    await services[0]!.until(() => held.replies.length === 2);
    held.replies[1]!.respond(200, "ok");
    expect((await second.takeResponse()).status).toBe(200);
    const scraped = mesh.scrape();
    expect(scraped).toMatch(/upstream_rq_pending_overflow\{envoy_cluster_name="svc"\} 1/);
    expect(scraped).toMatch(/upstream_rq_active\{envoy_cluster_name="svc"\} 0/);
    expect(scraped).toMatch(/istio_requests_total\{.*response_flags="UO".*\} 1/);
  });

  test("lets requests wait for one of few connections, up to its maximum", async () => {
    const held = new Held();
    const { services, mesh, connect } = setUp([held.script], {
      cluster: { circuitBreaker: { maxConnections: 1, maxPendingRequests: 1 } },
    });
    const clients = [await connect(), await connect(), await connect()];
    clients[0]!.send(GET);
    await services[0]!.until(() => held.replies.length === 1);
    clients[1]!.send(GET);
    const waits = 'upstream_rq_pending_active{envoy_cluster_name="svc"} 1';
    await until(() => mesh.scrape().includes(waits));
    clients[2]!.send(GET);
    expect((await clients[2]!.takeResponse()).status).toBe(503);
    held.replies[0]!.respond(200, "one");
    expect((await clients[0]!.takeResponse()).body).toBe("one");
    await services[0]!.until(() => held.replies.length === 2);
    held.replies[1]!.respond(200, "two");
    expect((await clients[1]!.takeResponse()).body).toBe("two");
    expect(services[0]!.connections).toBe(1);
  });

  test("of one request a connection opens one for each", async () => {
    const { services, mesh, connect } = setUp([ok], {
      cluster: { circuitBreaker: { maxRequestsPerConnection: 1 } },
    });
    const client = await connect();
    for (let i = 0; i < 4; i++) {
      client.send(GET);
      expect((await client.takeResponse()).status).toBe(200);
    }
    expect(services[0]!.connections).toBe(4);
    expect(mesh.scrape()).toMatch(/upstream_cx_total\{envoy_cluster_name="svc"\} 4/);
  });

  test("of no retries makes none", async () => {
    const { services, mesh, connect } = setUp([fails], {
      route: { retry: { attempts: 5, backoffMs: 1 } },
      cluster: { circuitBreaker: { maxRetries: 0 } },
    });
    const client = await connect();
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(503);
    expect(services[0]!.requests).toHaveLength(1);
    expect(mesh.scrape()).toMatch(/upstream_rq_retry_overflow\{envoy_cluster_name="svc"\} 1/);
  });

  test("holds across a new configuration, with what was taken under the old", async () => {
    const held = new Held();
    const { services, mesh, connect } = setUp([held.script], {
      cluster: { circuitBreaker: { maxRequests: 1 } },
    });
    const [first, second] = [await connect(), await connect()];
    first.send(GET);
    await services[0]!.until(() => held.replies.length === 1);
    mesh.publish({ cluster: { circuitBreaker: { maxRequests: 1 }, connectTimeoutMs: 777 } });
    second.send(GET);
    expect((await second.takeResponse()).status).toBe(503);
    held.replies[0]!.respond(200, "ok");
    await first.takeResponse();
    second.send(GET);
    await services[0]!.until(() => held.replies.length === 2);
    held.replies[1]!.respond(200, "ok");
    expect((await second.takeResponse()).status).toBe(200);
  });
});

describe("outlier ejection", () => {
  const outlier = {
    consecutiveErrors: 2,
    intervalMs: 1_000,
    baseEjectionMs: 900,
    maxEjectionPercent: 50,
  };

  async function ask(client: RawClient, times: number): Promise<number[]> {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) {
      client.send(GET);
      statuses.push((await client.takeResponse()).status);
    }
    return statuses;
  }

  test("leaves out an endpoint that answers 5xx, and tries it again later", async () => {
    const { services, mesh, connect } = setUp([fails, ok], { cluster: { outlier } });
    const client = await connect();
    await ask(client, 4);
    expect(services[0]!.requests).toHaveLength(2);
    expect(await ask(client, 10)).toEqual(new Array(10).fill(200));
    expect(mesh.scrape()).toMatch(/ejections_active\{envoy_cluster_name="svc"\} 1/);
    services[0]!.script = ok;
    const none = 'outlier_detection_ejections_active{envoy_cluster_name="svc"} 0';
    await until(() => mesh.scrape().includes(none));
    await ask(client, 4);
    expect(services[0]!.requests.length).toBeGreaterThan(2);
  });

  test("counts errors in a row: a success between them begins anew", async () => {
    let asked = 0;
    const everyOther: FakeScript = (_request, reply) => reply.respond(asked++ % 2 ? 200 : 503);
    const { mesh, connect } = setUp([everyOther], { cluster: { outlier } });
    await ask(await connect(), 12);
    expect(asked).toBe(12);
    expect(mesh.scrape()).not.toMatch(/ejections_active\{envoy_cluster_name="svc"\} 1/);
  });

  test("leaves out an endpoint that refuses connections", async () => {
    const { services, mesh, connect } = setUp([ok, ok], { cluster: { outlier } });
    services[0]!.close();
    const client = await connect();
    await ask(client, 4);
    expect(await ask(client, 10)).toEqual(new Array(10).fill(200));
    expect(mesh.scrape()).toMatch(/upstream_cx_connect_fail\{envoy_cluster_name="svc"\} 2/);
  });

  test("leaves out an endpoint that does not answer in time", async () => {
    const { services, connect } = setUp([() => {}, ok], {
      route: { timeoutMs: 150 },
      cluster: { outlier },
    });
    const client = await connect();
    const statuses = await ask(client, 14);
    expect(statuses.filter((status) => status === 504)).toHaveLength(2);
    expect(services[0]!.requests).toHaveLength(2);
  });
});

test("nobody to send to is 503 UH with the reason", async () => {
  const { mesh, connect } = setUp([], {});
  const client = await connect();
  client.send(GET);
  const answer = await client.takeResponse();
  expect(answer.status).toBe(503);
  expect(answer.head).toContain("x-mesh-reason: no-healthy-upstream");
  expect(mesh.scrape()).toMatch(/upstream_cx_none_healthy\{envoy_cluster_name="svc"\} 1/);
});
