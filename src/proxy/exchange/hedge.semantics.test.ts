/** Hedging as an operator asks for it, between real clients and real services. */
import { afterEach, describe, expect, test } from "bun:test";
import type { ServerHttp2Stream } from "node:http2";
import {
  Cluster_Protocol,
  RetryPolicy_Hedge as Hedge,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { type FakeReply, type FakeRequest, FakeUpstream } from "../../testing/fake-upstream.ts";
import { contentOf, Http2Client, Http2Service } from "../../testing/http2-runtime.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function closing<T extends { close(): void }>(one: T): T {
  closers.push(() => one.close());
  return one;
}

/** Services that answer when the test does: requests wait, in the order in which they came. */
class Held {
  readonly replies: FakeReply[] = [];
  readonly requests: FakeRequest[] = [];
  readonly services: readonly FakeUpstream[];
  #arrived: (() => void) | undefined;

  constructor(count: number) {
    const script = (request: FakeRequest, reply: FakeReply): void => {
      this.requests.push(request);
      this.replies.push(reply);
      this.#arrived?.();
    };
    this.services = Array.from({ length: count }, () => closing(new FakeUpstream({ script })));
  }

  /** The `n`-th request, of all services. */
  async request(n: number): Promise<FakeReply> {
    while (this.replies.length < n)
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    return this.replies[n - 1]!;
  }
}

const perTryTimeoutMs = 30;
/** Until it is seen that the time of a try has passed: less than the next one has. */
const LATE_MS = perTryTimeoutMs + 5;
/** Until another try follows one that was given up. */
const BACKOFF_MS = 10;

/** Time passes when the test says so: no try is late because the machine is busy. */
function standingClock(): VirtualClock {
  const clock = new VirtualClock();
  clock.advance(10);
  return clock;
}

interface SetUp {
  readonly clock: VirtualClock;
  readonly mesh: EngineFixture;
  readonly client: RawClient;
  readonly held: Held;
}

async function setUp(
  count: number,
  retry: { readonly attempts: number; readonly hedge?: Hedge; readonly backoffMs?: number },
  options: Partial<EngineFixtureOptions> = {},
): Promise<SetUp> {
  const held = new Held(count);
  const clock = standingClock();
  const mesh = closing(
    new EngineFixture({
      clock,
      endpoints: held.services.map(({ port }) => port),
      ...options,
      route: {
        timeoutMs: 5_000,
        ...options.route,
        retry: { backoffMs: 1, perTryTimeoutMs, hedge: Hedge.IDEMPOTENT, ...retry },
      },
    }),
  );
  const client = await RawClient.connect({ port: mesh.port });
  closers.push(() => client.terminate());
  return { clock, mesh, client, held };
}

const get = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 4\r\n\r\nbody";

/** The try under way, the `n`-th, has reached its service, and its time passes: the next one. */
async function next({ clock, held }: SetUp, n: number): Promise<FakeReply> {
  await held.request(n);
  clock.advance(LATE_MS);
  return held.request(n + 1);
}

/** The same where the try is given up. */
async function retried({ clock, held }: SetUp): Promise<FakeReply> {
  await held.request(1);
  clock.advance(LATE_MS);
  clock.advance(BACKOFF_MS);
  return held.request(2);
}

function count({ mesh }: SetUp, name: string): number {
  const series = new RegExp(`^envoy_cluster_${name}\\{envoy_cluster_name="svc"\\} (\\d+)$`, "m");
  return Number(series.exec(mesh.scrape())?.[1] ?? 0);
}

describe("a try whose time has passed", () => {
  test("goes on, and its answer counts if it is the first", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(get);
    const first = await it.held.request(1);
    const second = await next(it, 1);
    first.respond(200, "first");
    expect(await it.client.takeResponse()).toMatchObject({ status: 200, body: "first" });
    // The other was reset: whatever it says is nobody's.
    second.respond(200, "second");
    it.client.send(get);
    (await it.held.request(3)).respond(200, "third");
    expect(await it.client.takeResponse()).toMatchObject({ body: "third" });
    const names = ["upstream_rq_hedge", "upstream_rq_hedge_won", "upstream_rq_retry"];
    expect(names.map((name) => count(it, name))).toEqual([1, 1, 1]);
    expect(count(it, "upstream_rq_per_try_timeout")).toBeGreaterThanOrEqual(1);
  });

  test("loses against a later one that answers first, and holds nothing afterwards", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(get);
    await it.held.request(1);
    (await next(it, 1)).respond(200, "second");
    expect(await it.client.takeResponse()).toMatchObject({ status: 200, body: "second" });
    expect(count(it, "upstream_rq_hedge_won")).toBe(0);
    expect(count(it, "upstream_rq_active")).toBe(0);
    expect(count(it, "upstream_rq_retry_success")).toBe(1);
  });

  test("does not count when its answer is bad: the other is waited for", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(get);
    const second = await next(it, 1);
    (await it.held.request(1)).respond(503, "no");
    // The refusal is here before the answer of the other is made: the proxy has read both.
    await it.mesh.connect().then((probe) => probe.terminate());
    second.respond(200, "second");
    expect(await it.client.takeResponse()).toMatchObject({ status: 200, body: "second" });
  });

  // A silent loss is forgiven once: the try is made again, and lost again.
  for (const [how, tries, fail] of [
    ["answers 503", 1, (reply: FakeReply) => reply.respond(503, "no")],
    ["is reset", 2, (reply: FakeReply) => reply.reset()],
    ["is closed", 2, (reply: FakeReply) => reply.end()],
  ] as const)
    test(`is waited for again when the last try ${how}`, async () => {
      const it = await setUp(2, { attempts: 1 });
      it.client.send(get);
      const first = await it.held.request(1);
      await next(it, 1);
      for (let i = 0; i < tries; i++) fail(await it.held.request(2 + i));
      while (count(it, "upstream_rq_active") > 1) await Bun.sleep(1);
      first.respond(200, "first");
      expect(await it.client.takeResponse()).toMatchObject({ status: 200, body: "first" });
      expect(count(it, "upstream_rq_active")).toBe(0);
    });

  test("has until the route's timeout once no try may follow", async () => {
    const two = await setUp(2, { attempts: 1 }, { route: { timeoutMs: 200 } });
    two.client.send(get);
    await next(two, 1);
    two.clock.advance(200);
    expect((await two.client.takeResponse()).status).toBe(504);
    expect(two.held.services.map(({ requests }) => requests.length)).toEqual([1, 1]);
    expect(count(two, "upstream_rq_per_try_timeout")).toBe(2);
    expect(count(two, "upstream_rq_active")).toBe(0);
  });

  test("is one of as many as the rule lets there be", async () => {
    const it = await setUp(4, { attempts: 3 });
    it.client.send(get);
    for (const n of [1, 2, 3]) await next(it, n);
    expect(count(it, "upstream_rq_active")).toBe(4);
    const { usage } = it.mesh.engine.snapshot.clusters.get("svc")!.state;
    expect(usage.retries).toBe(3);
    (await it.held.request(3)).respond(200, "third");
    expect(await it.client.takeResponse()).toMatchObject({ body: "third" });
    expect(count(it, "upstream_rq_active")).toBe(0);
    expect(usage.retries).toBe(0);
  });

  test("answers in pieces, after interim heads, with content that follows", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(get);
    const first = await it.held.request(1);
    await next(it, 1);
    const whole =
      "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole";
    for (const octet of whole) {
      first.send(octet);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    expect(await it.client.takeResponse()).toMatchObject({ status: 200, body: "whole" });
  });

  test("that answers what is no HTTP is gone", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(get);
    const second = await next(it, 1);
    (await it.held.request(1)).send("nonsense\r\n\r\n");
    while (count(it, "upstream_rq_active") > 1) await Bun.sleep(1);
    second.respond(200, "second");
    expect(await it.client.takeResponse()).toMatchObject({ body: "second" });
  });
});

describe("an answer that has begun", () => {
  const half = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwho";

  test("is nobody else's, whatever the others say then", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(get);
    const first = await it.held.request(1);
    const second = await next(it, 1);
    second.send(half);
    while (count(it, "upstream_rq_active") > 1) await Bun.sleep(1);
    first.respond(200, "first");
    second.send("les");
    expect(await it.client.takeResponse()).toMatchObject({ status: 200, body: "wholes" });
  });

  test("ends the wait for a further try", async () => {
    const it = await setUp(3, { attempts: 2, backoffMs: 40 });
    it.client.send(get);
    const first = await it.held.request(1);
    (await next(it, 1)).respond(503, "no");
    while (count(it, "upstream_rq_active") > 1) await Bun.sleep(1);
    first.send(half);
    await it.client.until(() => it.client.received.endsWith("who"));
    it.clock.advance(300);
    first.send("les");
    expect(await it.client.takeResponse()).toMatchObject({ status: 200, body: "wholes" });
    expect(it.held.replies).toHaveLength(2);
  });
});

test("who was late is held against its endpoint", async () => {
  const it = await setUp(
    2,
    { attempts: 1 },
    { cluster: { outlier: { consecutiveErrors: 1, maxEjectionPercent: 100 } } },
  );
  it.client.send(get);
  const second = await next(it, 1);
  expect(count(it, "outlier_detection_ejections_active")).toBe(1);
  second.respond(200, "second");
  expect(await it.client.takeResponse()).toMatchObject({ status: 200 });
});

describe("who is hedged", () => {
  test("nobody whose head has begun: it is given up", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(get);
    (await it.held.request(1)).send("HTTP/1.1 200 OK\r\n");
    await it.mesh.connect().then((probe) => probe.terminate());
    (await retried(it)).respond(200, "second");
    expect(await it.client.takeResponse()).toMatchObject({ body: "second" });
    expect(count(it, "upstream_rq_hedge")).toBe(0);
  });

  test("nobody who asks for a WebSocket", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(
      "GET / HTTP/1.1\r\nHost: svc\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    (await retried(it)).respond(200, "second");
    expect(await it.client.takeResponse()).toMatchObject({ body: "second" });
    expect(count(it, "upstream_rq_hedge")).toBe(0);
  });

  test("POST only if the rule says so, with its content", async () => {
    const it = await setUp(2, { attempts: 1, hedge: Hedge.ALL });
    it.client.send(post);
    await next(it, 1);
    (await it.held.request(1)).respond(200, "first");
    expect(await it.client.takeResponse()).toMatchObject({ body: "first" });
    expect(it.held.requests[1]!.body).toBe("body");
    const other = await setUp(2, { attempts: 1 });
    other.client.send(post);
    (await retried(other)).respond(200, "second");
    expect(await other.client.takeResponse()).toMatchObject({ body: "second" });
    expect(count(other, "upstream_rq_hedge")).toBe(0);
  });

  test("nobody whose content has not come: the try is given up, and another has it", async () => {
    const it = await setUp(2, { attempts: 1, hedge: Hedge.ALL });
    it.client.send(post.slice(0, -"body".length));
    while (!it.held.services.some(({ received }) => received !== "")) await Bun.sleep(1);
    it.clock.advance(LATE_MS);
    it.clock.advance(BACKOFF_MS);
    it.client.send("body");
    const reply = await it.held.request(1);
    expect(it.held.requests[0]!.body).toBe("body");
    reply.respond(200, "second");
    expect(await it.client.takeResponse()).toMatchObject({ body: "second" });
    expect(count(it, "upstream_rq_hedge")).toBe(0);
    expect(count(it, "upstream_rq_retry")).toBe(1);
  });

  test("nobody without a rule that says so: the first try is given up", async () => {
    const it = await setUp(2, { attempts: 1, hedge: Hedge.UNSPECIFIED });
    it.client.send(get);
    (await retried(it)).respond(200, "second");
    expect(await it.client.takeResponse()).toMatchObject({ body: "second" });
    expect(count(it, "upstream_rq_hedge")).toBe(0);
  });

  test("nobody above the limit of retries: the try that there is goes on", async () => {
    const it = await setUp(2, { attempts: 1 }, { cluster: { circuitBreaker: { maxRetries: 0 } } });
    it.client.send(get);
    const first = await it.held.request(1);
    it.clock.advance(LATE_MS);
    while (count(it, "upstream_rq_retry_overflow") === 0) await Bun.sleep(1);
    first.respond(200, "first");
    expect(await it.client.takeResponse()).toMatchObject({ status: 200, body: "first" });
    expect(it.held.replies).toHaveLength(1);
  });

  test("a client that leaves takes all tries with it", async () => {
    const it = await setUp(2, { attempts: 1 });
    it.client.send(get);
    await next(it, 1);
    it.client.terminate();
    while (count(it, "upstream_rq_active") > 0) await Bun.sleep(1);
  });
});

test("over HTTP/2 the losing stream is reset, and its connection stays", async () => {
  const streams: ServerHttp2Stream[] = [];
  const services = await Promise.all(
    [1, 2].map(() =>
      Http2Service.start(async (stream) => {
        await contentOf(stream);
        streams.push(stream);
        if (streams.length === 1) return;
        stream.respond({ ":status": 200 });
        stream.end(`${streams.length}`);
      }),
    ),
  );
  for (const service of services) closing(service);
  const clock = standingClock();
  const mesh = closing(
    new EngineFixture({
      clock,
      endpoints: services.map(({ port }) => port),
      cluster: { protocol: Cluster_Protocol.HTTP2 },
      route: { timeoutMs: 5_000, retry: { attempts: 1, perTryTimeoutMs, hedge: Hedge.ALL } },
    }),
  );
  const client = closing(new Http2Client(mesh.port));
  const answer = client.request({ ":method": "POST" }, "x");
  while (streams.length === 0) await Bun.sleep(1);
  clock.advance(LATE_MS);
  expect(await answer).toMatchObject({ body: "2" });
  while (!streams[0]!.destroyed) await Bun.sleep(1);
  expect(streams[0]!.rstCode).toBe(8);
  expect(await client.request({ ":method": "POST" }, "x")).toMatchObject({ body: "3" });
  expect(services.map(({ connections }) => connections)).toEqual([1, 1]);
});

test("over HTTP/2 the earlier stream may win", async () => {
  const streams: ServerHttp2Stream[] = [];
  const service = closing(
    await Http2Service.start(async (stream) => {
      await contentOf(stream);
      streams.push(stream);
      if (streams.length === 1) return;
      streams[0]!.respond({ ":status": 200 });
      streams[0]!.write("first");
      streams[0]!.end();
    }),
  );
  const clock = standingClock();
  const mesh = closing(
    new EngineFixture({
      clock,
      endpoints: [service.port],
      cluster: { protocol: Cluster_Protocol.HTTP2 },
      route: { timeoutMs: 5_000, retry: { attempts: 1, perTryTimeoutMs, hedge: Hedge.ALL } },
    }),
  );
  const client = closing(new Http2Client(mesh.port));
  const answer = client.request({ ":method": "POST" }, "x");
  while (streams.length === 0) await Bun.sleep(1);
  clock.advance(LATE_MS);
  expect(await answer).toMatchObject({ body: "first" });
  while (!streams[1]!.destroyed) await Bun.sleep(1);
  expect(streams[1]!.rstCode).toBe(8);
});
