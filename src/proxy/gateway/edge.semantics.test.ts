/** What a gateway makes of its clients' requests, on sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer } from "node:http2";
import { Cluster_Protocol, LoadBalancer } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { accessLogText } from "../../testing/access-log-text.ts";
import { type EngineSetUp, engineSetUp } from "../../testing/engine-set-up.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { encodeProxyV2 } from "../tcp/proxy-protocol.ts";

const setUp = engineSetUp();
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

async function clientOf(mesh: EngineSetUp["mesh"]): Promise<RawClient> {
  const client = await RawClient.connect({ port: mesh.listenEdge() });
  closers.push(() => client.terminate());
  return client;
}

const get = (...fields: readonly string[]): string =>
  ["GET / HTTP/1.1", "Host: svc", ...fields, "", ""].join("\r\n");
const nobody = { edge: { trustedProxies: 0 } };
const behindOne = { edge: { trustedProxies: 1 } };

/** Fields of a head that a gateway has a say in. */
function claims(head: string): string[] {
  return head.split("\r\n").filter((line) => /^(x-forwarded|x-envoy|x-mesh|forwarded)/i.test(line));
}

test("a second try says the same of the client, whoever asks meanwhile", async () => {
  const { mesh, service } = await setUp(
    async (request, reply) => {
      if (request !== service.requests[0]) return reply.respond(200);
      await service.until(() => service.requests.length === 2);
      reply.reset();
    },
    { ...behindOne, route: { retry: { attempts: 1, on: [4], backoffMs: 1 } } },
  );
  const client = await clientOf(mesh);
  const other = await clientOf(mesh);
  client.send(get("X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Envoy-Max-Retries: 0"));
  await service.until(() => service.requests.length === 1);
  other.send(get("X-Forwarded-For: 3.3.3.3"));
  expect((await client.takeResponse()).status).toBe(200);
  const told = (address: string): string[] => [
    ...[`x-forwarded-for: ${address}, 127.0.0.1`, "x-forwarded-proto: http"],
  ];
  expect(service.requests.map(({ head }) => claims(head))).toEqual([
    ...[told("2.2.2.2"), told("3.3.3.3"), told("2.2.2.2")],
  ]);
});

test("nobody is given a tunnel", async () => {
  const { mesh } = await setUp(undefined, { ...nobody, allowAny: true });
  const client = await clientOf(mesh);
  client.send("CONNECT svc:80 HTTP/1.1\r\nHost: svc:80\r\n\r\n");
  expect((await client.takeResponse()).status).toBe(405);
});

test("a service that speaks HTTP/2 is told the same", async () => {
  const seen: object[] = [];
  const server = createServer((request, response) => {
    const own = Object.entries(request.headers).filter(([name]) => /^x-|forwarded/.test(name));
    seen.push(Object.fromEntries(own));
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => void server.close());
  const { port } = server.address() as { port: number };
  const cluster = { protocol: Cluster_Protocol.HTTP2 };
  const { mesh } = await setUp(undefined, { ...nobody, endpoints: [port], cluster });
  const client = await clientOf(mesh);
  for (const claim of ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Client-Cert: Hash=1"]) {
    client.send(get(claim));
    expect((await client.takeResponse()).status).toBe(200);
  }
  const told = { "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http" };
  expect(seen).toEqual([told, told]);
});

test("clients are told apart by their own address, not by that of the proxy in front", async () => {
  const all = Array.from(
    { length: 4 },
    (_, i) => new FakeUpstream({ script: (_request, reply) => reply.respond(200, String(i)) }),
  );
  closers.push(() => {
    for (const one of all) one.close();
  });
  const { mesh } = await setUp(undefined, {
    ...{ ...behindOne, endpoints: all.map(({ port }) => port) },
    cluster: {
      loadBalancer: LoadBalancer.RING_HASH,
      hash: [{ by: { case: "source", value: true } }],
    },
  });
  const client = await clientOf(mesh);
  const answers: string[] = [];
  for (let i = 0; i < 32; i++) {
    client.send(get(`X-Forwarded-For: 9.9.9.9, 10.0.0.${i % 16}`));
    answers.push((await client.takeResponse()).body);
  }
  expect(answers.slice(0, 16)).toEqual(answers.slice(16));
  expect(new Set(answers).size).toBeGreaterThan(1);
});

test("the access log has the client that is believed, never one that is claimed", async () => {
  for (const [edge, logged] of [
    [nobody, null],
    [behindOne, "2.2.2.2"],
  ] as const) {
    const { accessLog, read } = accessLogText();
    const { mesh } = await setUp(undefined, { ...edge, accessLog });
    const client = await clientOf(mesh);
    client.send(get("X-Forwarded-For: 1.1.1.1, 2.2.2.2"));
    await client.takeResponse();
    await accessLog.close();
    expect(JSON.parse(read())).toMatchObject({ x_forwarded_for: logged, protocol: "HTTP/1.1" });
  }
});

describe("behind a load balancer that speaks the PROXY protocol", () => {
  const from = (address: string): Uint8Array =>
    encodeProxyV2({ address, port: 4_711 }, { address: "10.0.0.1", port: 80 });

  async function connectFrom(port: number, header: Uint8Array | string): Promise<RawClient> {
    const client = await RawClient.connect({ port });
    closers.push(() => client.terminate());
    client.send(header);
    return client;
  }

  test("its client is the client: to services, and in the access log", async () => {
    const { accessLog, read } = accessLogText();
    const { mesh, service } = await setUp(undefined, { ...nobody, accessLog });
    const port = mesh.listenEdge({ header: { refused: () => {} } });
    const client = await connectFrom(port, from("::ffff:203.0.113.9"));
    for (let i = 0; i < 2; i++) {
      client.send(get("X-Forwarded-For: 1.1.1.1"));
      expect((await client.takeResponse()).status).toBe(200);
    }
    const told = ["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: http"];
    expect(service.requests.map(({ head }) => claims(head))).toEqual([told, told]);
    await accessLog.close();
    const line = JSON.parse(read().split("\n", 1)[0]!);
    expect(line.downstream_remote_address).toBe("203.0.113.9:4711");
  });

  test("what proxies that are trusted say of a client counts more", async () => {
    const { mesh, service } = await setUp(undefined, behindOne);
    const port = mesh.listenEdge({ header: { refused: () => {} } });
    const client = await connectFrom(port, from("203.0.113.9"));
    client.send(get("X-Forwarded-For: 2.2.2.2"));
    expect((await client.takeResponse()).status).toBe(200);
    expect(claims(service.requests[0]!.head)[0]).toBe("x-forwarded-for: 2.2.2.2, 203.0.113.9");
  });

  test("endpoints are chosen by the client's address", async () => {
    const all = Array.from(
      { length: 4 },
      (_, i) => new FakeUpstream({ script: (_request, reply) => reply.respond(200, String(i)) }),
    );
    closers.push(() => {
      for (const one of all) one.close();
    });
    const { mesh } = await setUp(undefined, {
      ...{ ...nobody, endpoints: all.map(({ port }) => port) },
      cluster: {
        loadBalancer: LoadBalancer.RING_HASH,
        hash: [{ by: { case: "source", value: true } }],
      },
    });
    const port = mesh.listenEdge({ header: { refused: () => {} } });
    const answers: string[] = [];
    for (let i = 0; i < 32; i++) {
      const client = await connectFrom(port, from(`203.0.113.${i % 16}`));
      client.send(get());
      answers.push((await client.takeResponse()).body);
    }
    expect(answers.slice(0, 16)).toEqual(answers.slice(16));
    expect(new Set(answers).size).toBeGreaterThan(1);
  });

  test("HTTP/2 comes behind it too; what has none gets nothing", async () => {
    const faults: string[] = [];
    const { mesh } = await setUp(undefined, nobody);
    const port = mesh.listenEdge({ header: { refused: (fault) => void faults.push(fault) } });
    const client = await connectFrom(port, from("203.0.113.9"));
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");
    await client.until(() => client.received.length >= 9);
    expect(client.received.charCodeAt(3)).toBe(4);
    const stranger = await connectFrom(port, get());
    await stranger.until(() => stranger.closed);
    expect([stranger.bytesReceived, faults]).toEqual([0, ["missing"]]);
  });

  test("an inbound port takes it too", async () => {
    const { mesh, service } = await setUp();
    const port = mesh.listenInbound(service.port, "any", { headerRefused: () => {} });
    const client = await connectFrom(port, from("203.0.113.9"));
    client.send(get());
    expect((await client.takeResponse()).status).toBe(200);
  });
});

test("a route cannot be chosen by what a stranger claims", async () => {
  const match = { headers: [{ name: "x-mesh-role", value: { kind: exact("admin") } }] };
  const { mesh, connect } = await setUp(undefined, { ...nobody, route: { match } });
  const client = await clientOf(mesh);
  client.send(get("X-Mesh-Role: admin"));
  expect((await client.takeResponse()).status).toBe(404);
  const inside = await connect();
  inside.send(get("X-Mesh-Role: admin"));
  expect((await inside.takeResponse()).status).toBe(200);
});

function exact(value: string) {
  return { case: "exact", value } as const;
}

test("HTTP/2 has the limits for strangers, and no transport of the mesh", async () => {
  const { mesh } = await setUp(undefined, nobody);
  const client = await clientOf(mesh);
  client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");
  await client.until(() => client.received.length >= 9);
  const bytes = Buffer.from(client.received, "latin1");
  const length = bytes.readUIntBE(0, 3);
  await client.until(() => client.received.length >= 9 + length);
  const payload = Buffer.from(client.received, "latin1").subarray(9, 9 + length);
  const settings = new Map<number, number>();
  for (let at = 0; at < length; at += 6)
    settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
  expect(settings.get(3)).toBe(100);
  expect(settings.has(0xf3e5)).toBe(false);
});

test("a listener that has gone lets nobody in by the connections that it had", async () => {
  const { mesh } = await setUp(undefined, nobody);
  const client = await clientOf(mesh);
  client.send(get());
  expect((await client.takeResponse()).status).toBe(200);
  mesh.publish({ edge: undefined } as never);
  client.send(get());
  expect((await client.takeResponse()).status).toBe(404);
});
