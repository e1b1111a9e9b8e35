/** What two ends of a relayed connection see of each other, over real sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { AccessLog } from "../../telemetry/access-log.ts";
import { ByteFlow, type FlowOptions } from "../../testing/byte-flow.ts";
import { FakeUpstream, type FakeUpstreamOptions } from "../../testing/fake-upstream.ts";
import { freePorts } from "../../testing/free-port.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { RelayFixture, type RelayFixtureOptions } from "../../testing/relay-fixture.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const MEGABYTE = 1 << 20;

function relayTo(
  endpoints: RelayFixtureOptions["endpoints"],
  options: Partial<RelayFixtureOptions> = {},
): RelayFixture {
  const mesh = new RelayFixture({ endpoints, ...options });
  closers.push(() => mesh.close());
  return mesh;
}

function serve(options: FakeUpstreamOptions = {}): FakeUpstream {
  const service = new FakeUpstream(options);
  closers.push(() => service.close());
  return service;
}

async function connectTo(mesh: RelayFixture): Promise<RawClient> {
  const client = await RawClient.connect({ port: mesh.port });
  closers.push(() => client.terminate());
  return client;
}

/** A service whose connection is one end of a flow, and a client that is the other. */
async function flows(
  client: Partial<FlowOptions>,
  service: Partial<FlowOptions>,
): Promise<{ readonly client: ByteFlow; readonly service: ByteFlow; readonly mesh: RelayFixture }> {
  const end = new ByteFlow({ sends: 0, sendSeed: 2, receiveSeed: 1, ...service });
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: end.handlers,
  } as Bun.TCPSocketListenOptions<undefined>);
  closers.push(() => listener.stop(true));
  const mesh = relayTo([listener.port]);
  const other = new ByteFlow({ sends: 0, sendSeed: 1, receiveSeed: 2, ...client });
  await Bun.connect({
    hostname: "127.0.0.1",
    port: mesh.port,
    allowHalfOpen: true,
    socket: other.handlers,
  } as Bun.TCPSocketConnectOptions<undefined>);
  closers.push(() => other.terminate());
  return { client: other, service: end, mesh };
}

interface Logged {
  readonly log: AccessLog;
  /** Resolves with the lines when there are as many. */
  lines(count: number): Promise<readonly Record<string, unknown>[]>;
}

function loggedAs(): Logged {
  let text = "";
  const sink = {
    write(bytes: Uint8Array, done: (written: boolean) => void): void {
      text += Buffer.from(bytes).toString();
      done(true);
    },
    writeSync: () => true,
  };
  const log = new AccessLog({ format: "json", sink, clock: systemClock });
  return {
    log,
    async lines(count) {
      while (log.lines < count) await Bun.sleep(1);
      await log.close();
      return text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
  };
}

describe("bytes", () => {
  test("50 MB each way at once arrive as sent, and each end hears of the end", async () => {
    const sends = 50 * MEGABYTE;
    const { client, service, mesh } = await flows({ sends }, { sends });
    await client.until(() => client.ended && client.received === sends, "the service's bytes");
    await service.until(() => service.ended && service.received === sends, "the client's bytes");
    expect([client.wrongAt, service.wrongAt]).toEqual([-1, -1]);
    await client.until(() => client.closed, "the close");
    expect([client.wasReset, service.wasReset]).toEqual([false, false]);
    expect(mesh.series("istio_tcp_").map((line) => line.replace(/\{.*\}/, ""))).toEqual([
      "istio_tcp_connections_closed_total 1",
      "istio_tcp_connections_opened_total 1",
      `istio_tcp_received_bytes_total ${sends}`,
      `istio_tcp_sent_bytes_total ${sends}`,
    ]);
    expect(mesh.relays.size).toBe(0);
  }, 60_000);

  test("a side that does not read stops the other, and costs little memory meanwhile", async () => {
    const sends = 50 * MEGABYTE;
    const { client, service, mesh } = await flows({ sends }, {});
    await service.until(() => service.received > 0, "the first bytes");
    service.pause();
    let before = -1;
    for (let same = 0; same < 20; ) {
      await Bun.sleep(5);
      same = client.sent === before ? same + 1 : 0;
      before = client.sent;
    }
    expect(client.sent).toBeLessThan(sends);
    expect(mesh.relays.bytesWaiting).toBeLessThan(MEGABYTE);
    service.resume();
    await service.until(() => service.ended, "everything");
    expect([service.received, service.wrongAt]).toEqual([sends, -1]);
  }, 60_000);

  test("what came before the relay began is sent first", async () => {
    const service = serve();
    const mesh = relayTo([service.port], { early: Buffer.from("early ") });
    const client = await connectTo(mesh);
    client.send("late");
    await service.until(() => service.received === "early late");
  });

  test("and so is an end that came as early", async () => {
    const service = serve({ onConnection: (reply) => reply.send("answer") });
    const client = await connectTo(
      relayTo([service.port], { early: Buffer.from("early"), ended: true }),
    );
    await service.until(() => service.connections === 1 && service.openConnections === 0);
    expect([service.received, await client.untilEnd()]).toEqual(["early", "answer"]);
  });

  test("a server may speak first", async () => {
    const service = serve({ onConnection: (reply) => reply.send("220 hello\r\n") });
    const client = await connectTo(relayTo([service.port]));
    expect(await client.take("\r\n")).toBe("220 hello\r\n");
  });

  test("the upstream is told of the client where the route says so", async () => {
    const service = serve();
    const target = {
      source: { address: "192.0.2.1", port: 4_000 },
      destination: { address: "198.51.100.7", port: 3_306 },
    };
    const mesh = relayTo([service.port], {
      route: { proxyProtocol: 1 },
      target,
      early: Buffer.from("hi"),
    });
    await connectTo(mesh);
    const header = "PROXY TCP4 192.0.2.1 198.51.100.7 4000 3306\r\n";
    await service.until(() => service.received === `${header}hi`);
  });
});

describe("the end of one side", () => {
  test("a client that has said all still gets its answer", async () => {
    const sends = 3 * MEGABYTE;
    const { client, service } = await flows({ sends: 10 }, { sends, endsAfter: 10 });
    await service.until(() => service.ended, "the client's FIN");
    await client.until(() => client.ended, "the service's FIN");
    expect([client.received, client.wrongAt, client.wasReset]).toEqual([sends, -1, false]);
  });

  test("a service that has said all still gets the rest", async () => {
    const sends = 3 * MEGABYTE;
    const untilTold = Number.POSITIVE_INFINITY;
    const { client, service } = await flows({ sends, endsAfter: untilTold }, { sends: 10 });
    await client.until(() => client.ended, "the service's FIN");
    client.shutdown();
    await service.until(() => service.ended, "the client's FIN");
    expect([service.received, service.wrongAt, service.wasReset]).toEqual([sends, -1, false]);
  });

  test("a slow client gets all of what a service sent before it went for good", async () => {
    const sends = MEGABYTE / 2;
    const { client, service, mesh } = await flows({ endsAfter: sends }, { sends });
    client.pause();
    await service.until(() => service.sent === sends, "all bytes to be sent");
    const [relay] = mesh.begun;
    while (relay?.bytesSent !== sends) await Bun.sleep(1);
    service.end();
    client.write("to nobody");
    while (relay.state !== "lingering") await Bun.sleep(1);
    client.resume();
    await client.until(() => client.ended, "the service's FIN");
    expect([client.received, client.wrongAt, client.wasReset]).toEqual([sends, -1, false]);
  });

  test("a client's reset resets the upstream connection", async () => {
    const logged = loggedAs();
    const { client, service } = await flowsLogged(logged);
    client.terminate();
    await service.until(() => service.closed, "the reset");
    expect(service.wasReset).toBe(true);
    expect(await logged.lines(1)).toMatchObject([
      { response_flags: "DC", response_code_details: "downstream-closed" },
    ]);
  });

  test("an upstream's reset resets the client's connection", async () => {
    const logged = loggedAs();
    const { client, service } = await flowsLogged(logged);
    service.terminate();
    await client.until(() => client.closed, "the reset");
    expect(client.wasReset).toBe(true);
    expect(await logged.lines(1)).toMatchObject([
      { response_flags: "UR", response_code_details: "upstream-reset" },
    ]);
  });

  /** One byte has gone each way, and both connections stay open. */
  async function flowsLogged({ log }: Logged) {
    const service = new ByteFlow({ sends: 1, sendSeed: 2, receiveSeed: 1, endsAfter: 9 });
    const listener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      allowHalfOpen: true,
      socket: service.handlers,
    } as Bun.TCPSocketListenOptions<undefined>);
    closers.push(() => listener.stop(true));
    const mesh = relayTo([listener.port], { accessLog: log });
    const client = new ByteFlow({ sends: 1, sendSeed: 1, receiveSeed: 2, endsAfter: 9 });
    await Bun.connect({
      hostname: "127.0.0.1",
      port: mesh.port,
      allowHalfOpen: true,
      socket: client.handlers,
    } as Bun.TCPSocketConnectOptions<undefined>);
    await client.until(() => client.received === 1, "the service's byte");
    await service.until(() => service.received === 1, "the client's byte");
    return { client, service, mesh };
  }
});

describe("an upstream that cannot be had", () => {
  let last: RelayFixture | undefined;

  async function refusedWith(
    endpoints: RelayFixtureOptions["endpoints"],
    options: Partial<RelayFixtureOptions> = {},
  ): Promise<Record<string, unknown>> {
    const logged = loggedAs();
    const mesh = relayTo(endpoints, { ...options, accessLog: logged.log });
    last = mesh;
    const client = await connectTo(mesh);
    await client.until(() => client.closed, "the end");
    expect(client.wasReset).toBe(true);
    const [line = {}] = await logged.lines(1);
    return line;
  }

  test("nobody listens: UF, after one try", async () => {
    const [port] = freePorts(1);
    expect(await refusedWith([port!])).toMatchObject({
      protocol: "-",
      response_flags: "UF",
      upstream_transport_failure_reason: "refused",
      upstream_host: `127.0.0.1:${port}`,
      upstream_cluster: "svc",
      route_name: "the-route",
      upstream_request_attempt_count: 1,
    });
  });

  test("two endpoints at which nobody listens: UF, after one try of each", async () => {
    expect(await refusedWith(freePorts(2))).toMatchObject({
      response_flags: "UF",
      upstream_request_attempt_count: 2,
    });
  });

  test("no endpoint: UH", async () => {
    expect(await refusedWith([])).toMatchObject({ response_flags: "UH" });
  });

  test("as many connections as the cluster may have: UO", async () => {
    const options = { cluster: { circuitBreaker: { maxConnections: 0 } } };
    expect(await refusedWith(freePorts(1), options)).toMatchObject({ response_flags: "UO" });
    expect(last?.snapshot.clusters.get("svc")?.limits.usage.pending).toBe(0);
  });

  test("as many connects under way as the cluster may have: UO", async () => {
    const options = { cluster: { circuitBreaker: { maxPendingRequests: 0 } } };
    expect(await refusedWith(freePorts(1), options)).toMatchObject({ response_flags: "UO" });
  });

  test("an endpoint that is the proxy itself: a loop", async () => {
    const logged = loggedAs();
    const [port] = freePorts(1);
    const mesh = relayTo([port!], { accessLog: logged.log, isOwn: (one) => one === port });
    const client = await connectTo(mesh);
    await client.until(() => client.closed, "the end");
    expect(await logged.lines(1)).toMatchObject([{ response_code_details: "forwarding-loop" }]);
  });

  test("another endpoint is tried: no connection fails because of one that is down", async () => {
    const service = serve({ onConnection: (reply) => reply.send("hello") });
    const [dead] = freePorts(1);
    const mesh = relayTo([dead!, service.port]);
    for (let i = 0; i < 6; i++) {
      const client = await connectTo(mesh);
      expect(await client.takeBytes(5)).toBe("hello");
    }
    expect(mesh.series("upstream_rq_retry{")[0]).not.toEndWith(" 0");
    expect(mesh.series("upstream_cx_connect_fail{")[0]).not.toEndWith(" 0");
  });

  test("counts against its endpoint, and is forgiven when it can be had again", async () => {
    const [port = 0] = freePorts(1);
    const mesh = relayTo([port], { cluster: { outlier: { consecutiveErrors: 3 } } });
    const [endpoint] = mesh.snapshot.clusters.get("svc")!.endpoints;
    const refused = await connectTo(mesh);
    await refused.until(() => refused.closed, "the end");
    expect(endpoint?.consecutiveErrors).toBe(1);
    serve({ port, onConnection: (reply) => reply.send("hello") });
    const client = await connectTo(mesh);
    await client.takeBytes(5);
    expect(endpoint?.consecutiveErrors).toBe(0);
  });

  test("everything taken is given back", async () => {
    const service = serve({ onConnection: (reply) => reply.send("hello") });
    const [dead] = freePorts(1);
    const mesh = relayTo([dead!, service.port]);
    for (let i = 0; i < 4; i++) {
      const client = await connectTo(mesh);
      await client.takeBytes(5);
      client.shutdown();
      await client.untilEnd();
    }
    await service.until(() => service.openConnections === 0);
    while (mesh.relays.size > 0) await Bun.sleep(1);
    const cluster = mesh.snapshot.clusters.get("svc")!;
    while (cluster.limits.usage.connections > 0) await Bun.sleep(1);
    expect(cluster.limits.usage).toMatchObject({ connections: 0, pending: 0, retries: 0 });
    expect(cluster.endpoints.map(({ active }) => active)).toEqual([0, 0]);
  });
});

describe("time", () => {
  test("an hour without a byte ends both connections, in an orderly way", async () => {
    const clock = new VirtualClock();
    const logged = loggedAs();
    const service = serve({ onConnection: (reply) => reply.send("hello") });
    const mesh = relayTo([service.port], { clock, accessLog: logged.log });
    const client = await connectTo(mesh);
    await client.takeBytes(5);
    clock.advance(3_000_000);
    client.send("still here");
    await service.until(() => service.received === "still here");
    clock.advance(3_500_000);
    expect(mesh.relays.size).toBe(1);
    clock.advance(200_000);
    await client.untilEnd();
    expect(client.wasReset).toBe(false);
    client.close();
    await service.until(() => service.openConnections === 0);
    expect(await logged.lines(1)).toMatchObject([
      { response_flags: "SI", duration: 6_600_000, bytes_received: 10, bytes_sent: 5 },
    ]);
  });

  test("a route may have a limit of its own", async () => {
    const clock = new VirtualClock();
    const service = serve({ onConnection: (reply) => reply.send("hello") });
    const mesh = relayTo([service.port], { clock, route: { idleMs: 5_000 } });
    const client = await connectTo(mesh);
    await client.takeBytes(5);
    clock.advance(5_020);
    await client.untilEnd();
  });
});

describe("when the proxy ends", () => {
  test("connections are left alone until the deadline", async () => {
    const clock = new VirtualClock();
    const service = serve({ onConnection: (reply) => reply.send("hello") });
    const mesh = relayTo([service.port], { clock });
    const client = await connectTo(mesh);
    await client.takeBytes(5);
    let drained = false;
    const drain = mesh.relays.drain(30_000).then(() => (drained = true));
    clock.advance(29_000);
    client.send("work");
    await service.until(() => service.received === "work");
    expect(drained).toBe(false);
    clock.advance(1_000);
    await drain;
    mesh.relays.close();
    await client.untilEnd();
    expect(client.wasReset).toBe(false);
  });

  test("it waits no longer than the last of them", async () => {
    const service = serve({ onConnection: (reply) => reply.send("hello") });
    const mesh = relayTo([service.port]);
    const client = await connectTo(mesh);
    await client.takeBytes(5);
    const drain = mesh.relays.drain(3_600_000);
    client.terminate();
    await drain;
    expect(mesh.relays.size).toBe(0);
  });
});

test("the log says where a connection came from, went to, and what it carried", async () => {
  const logged = loggedAs();
  const service = serve({ onConnection: (reply) => reply.send("hello") });
  const target = {
    destination: { address: "198.51.100.7", port: 443 },
    source: { address: "2001:db8::1", port: 4_000 },
    serverName: "api.example",
  };
  const mesh = relayTo([service.port], { accessLog: logged.log, target });
  const client = await connectTo(mesh);
  client.send("hi");
  await client.takeBytes(5);
  await service.until(() => service.received === "hi");
  client.shutdown();
  await client.untilEnd();
  expect(await logged.lines(1)).toMatchObject([
    {
      protocol: "-",
      response_code: 0,
      response_flags: "-",
      bytes_received: 2,
      bytes_sent: 5,
      upstream_host: `127.0.0.1:${service.port}`,
      upstream_cluster: "svc",
      downstream_local_address: "198.51.100.7:443",
      downstream_remote_address: "[2001:db8::1]:4000",
      requested_server_name: "api.example",
      route_name: "the-route",
    },
  ]);
});

test("the series of a connection outlive the configuration in which it began", async () => {
  const service = serve({ onConnection: (reply) => reply.send("hello") });
  const mesh = relayTo([service.port]);
  const client = await connectTo(mesh);
  await client.takeBytes(5);
  mesh.snapshot.retire();
  expect(mesh.series("istio_tcp_connections_opened_total")).toHaveLength(1);
  client.shutdown();
  await client.untilEnd();
  while (mesh.relays.size > 0) await Bun.sleep(1);
  await service.until(() => service.openConnections === 0);
  while (mesh.series("istio_tcp_connections_opened_total").length > 0) await Bun.sleep(1);
});
