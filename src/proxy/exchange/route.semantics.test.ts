/** What routes do with requests: rewrite, redirect, answer, copy, refuse, on real sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import type { RawClient } from "../../testing/raw-client.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

async function setUp(
  route: NonNullable<EngineFixtureOptions["route"]>,
  script?: FakeScript,
  options: Partial<EngineFixtureOptions> = {},
): Promise<{ client: RawClient; service: FakeUpstream; mesh: EngineFixture }> {
  const service = new FakeUpstream(script === undefined ? {} : { script });
  const mesh = new EngineFixture({ endpoints: [service.port], route, ...options });
  const client = await mesh.connect();
  closers.push(
    () => mesh.close(),
    () => service.close(),
    () => client.terminate(),
  );
  return { client, service, mesh };
}

function request(line: string, ...fields: readonly string[]): string {
  return `${[`${line} HTTP/1.1`, "Host: svc", ...fields].join("\r\n")}\r\n\r\n`;
}

describe("a rewrite", () => {
  test("of a prefix keeps the rest and the query; Host becomes the rule's", async () => {
    const { client, service } = await setUp({
      match: { path: { kind: { case: "prefix", value: "/old" } } },
      rewrite: { uri: "/new", authority: "backend:81" },
    });
    client.send(request("GET /old/a?q=1"));
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.received).toContain("GET /new/a?q=1 HTTP/1.1\r\n");
    expect(service.requests[0]!.field("host")).toBe("backend:81");
    expect(service.received.match(/host:/gi)).toHaveLength(1);
  });

  test("replaces the whole path where the rule matched it exactly", async () => {
    const { client, service } = await setUp({
      match: { path: { kind: { case: "exact", value: "/old" } } },
      rewrite: { uri: "/new" },
    });
    client.send(request("GET /old?q=1"));
    await client.takeResponse();
    expect(service.requests[0]!.target).toBe("/new?q=1");
    expect(service.requests[0]!.field("host")).toBe("svc");
  });
});

describe("a redirect", () => {
  test("is answered without the service", async () => {
    const { client, service } = await setUp({
      action: { case: "redirect", value: { code: 302, uri: "/new", authority: "other:81" } },
    });
    client.send(request("GET /old?q=1"));
    const answer = await client.takeResponse();
    expect(answer.status).toBe(302);
    expect(answer.head).toMatch(/^location: http:\/\/other:81\/new\?q=1\r$/im);
    expect(service.connections).toBe(0);
    client.send(request("HEAD /old"));
    expect((await client.takeResponse(true)).status).toBe(302);
    client.send(request("GET /again"));
    expect((await client.takeResponse()).status).toBe(302);
  });

  test("of a request with a body leaves the connection in order", async () => {
    const { client } = await setUp({
      action: { case: "redirect", value: { code: 307, uri: "/new" } },
    });
    client.send(`${request("POST /old", "Content-Length: 5")}hello`);
    const answer = await client.takeResponse();
    expect(answer.status).toBe(307);
    expect(answer.head).toMatch(/^location: http:\/\/svc\/new\r$/im);
  });
});

test("a direct answer has its status and body", async () => {
  const { client, service } = await setUp({
    action: { case: "direct", value: { status: 418, body: "short and stout" } },
  });
  client.send(request("GET /"));
  const answer = await client.takeResponse();
  expect([answer.status, answer.body]).toEqual([418, "short and stout"]);
  expect(service.connections).toBe(0);
});

describe("a fault", () => {
  test("aborts with its status and says which rule did it", async () => {
    const { client, service } = await setUp({
      fault: { abortPercent: 100, abortStatus: 418 },
    });
    client.send(request("GET /"));
    const answer = await client.takeResponse();
    expect(answer.status).toBe(418);
    expect(answer.head).toMatch(/^x-mesh-reason: fault-abort; the-rule\r$/im);
    expect(service.connections).toBe(0);
  });

  test("delays, and then the service answers", async () => {
    const { client, service } = await setUp({ fault: { delayPercent: 100, delayMs: 60 } });
    const started = performance.now();
    client.send(request("GET /"));
    expect((await client.takeResponse()).status).toBe(200);
    expect(performance.now() - started).toBeGreaterThanOrEqual(55);
    expect(service.requests).toHaveLength(1);
  });

  test("delays a request with a body, and loses none of it", async () => {
    const { client, service } = await setUp({ fault: { delayPercent: 100, delayMs: 30 } });
    client.send(`${request("POST /", "Content-Length: 5")}he`);
    await client.sent();
    client.send("llo");
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests[0]!.body).toBe("hello");
  });

  test("of both kinds delays first, then aborts", async () => {
    const { client, service } = await setUp({
      fault: { delayPercent: 100, delayMs: 40, abortPercent: 100, abortStatus: 503 },
    });
    const started = performance.now();
    client.send(request("GET /"));
    expect((await client.takeResponse()).status).toBe(503);
    expect(performance.now() - started).toBeGreaterThanOrEqual(35);
    expect(service.connections).toBe(0);
  });

  test("of a quarter hits a quarter, whatever the fraction's size", async () => {
    const { client } = await setUp({ fault: { abortPercent: 25, abortStatus: 500 } });
    let aborted = 0;
    for (let i = 0; i < 400; i++) client.send(request("GET /"));
    for (let i = 0; i < 400; i++) if ((await client.takeResponse()).status === 500) aborted++;
    expect(Math.abs(aborted / 400 - 0.25)).toBeLessThan(0.07);
  });
});

describe("a mirror", () => {
  async function mirrored(percent: number, script?: FakeScript, limits = {}) {
    const shadow = new FakeUpstream(script === undefined ? {} : { script });
    closers.push(() => shadow.close());
    const route = { mirror: { cluster: "shadow", percent } };
    const rest = await setUp(route, undefined, { others: { shadow: shadow.port }, limits });
    return { ...rest, shadow };
  }

  test("gets a copy for the host with -shadow; its answer is dropped", async () => {
    const { client, service, shadow } = await mirrored(100, (_request, reply) =>
      reply.respond(500, "from the shadow"),
    );
    client.send(`${request("POST /a?b", "Content-Length: 5")}hello`);
    const answer = await client.takeResponse();
    expect([answer.status, answer.body]).toEqual([200, "ok"]);
    await shadow.until(() => shadow.requests.length === 1);
    const [copy] = shadow.requests;
    expect([copy!.method, copy!.target, copy!.body]).toEqual(["POST", "/a?b", "hello"]);
    expect(copy!.field("host")).toBe("svc-shadow");
    expect(service.requests[0]!.field("host")).toBe("svc");
  });

  test("that does not answer holds nothing up", async () => {
    const { client, shadow } = await mirrored(100, () => {});
    for (let i = 0; i < 5; i++) {
      client.send(request("GET /"));
      expect((await client.takeResponse()).status).toBe(200);
    }
    await shadow.until(() => shadow.requests.length === 5);
  });

  test("that refuses connections harms nobody", async () => {
    const { client, shadow } = await mirrored(100);
    shadow.close();
    client.send(request("GET /"));
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("of a quarter of the requests gets a quarter", async () => {
    const { client, shadow } = await mirrored(25);
    for (let i = 0; i < 200; i++) {
      client.send(request("GET /"));
      await client.takeResponse();
    }
    expect(Math.abs(shadow.connections - 50)).toBeLessThan(20);
  });

  test("is one at a time where one is the maximum, and its place is free again", async () => {
    const closes: FakeScript = (_request, reply) => {
      reply.respond(200, "ok");
      reply.end();
    };
    const { client, shadow, mesh } = await mirrored(100, closes, { mirrorsMax: 1 });
    const [endpoint] = mesh.engine.snapshot.clusters.get("shadow")!.endpoints;
    for (let i = 1; i <= 5; i++) {
      client.send(request("GET /"));
      await client.takeResponse();
      await shadow.until(() => shadow.requests.length === i && shadow.openConnections === 0);
      while (endpoint!.active > 0) await Bun.sleep(1);
    }
  });

  test("of no requests gets none", async () => {
    const { client, shadow } = await mirrored(0);
    client.send(request("GET /"));
    await client.takeResponse();
    expect(shadow.connections).toBe(0);
  });
});

describe("a cross-origin policy", () => {
  const cors = {
    allowOrigins: [{ kind: { case: "exact", value: "https://a.example" } as const }],
    allowMethods: ["GET", "PUT"],
    allowHeaders: ["x-a"],
    exposeHeaders: ["x-b"],
    maxAgeSeconds: 60,
    allowCredentials: true,
  };
  const preflight = (origin: string): string =>
    request("OPTIONS /", `Origin: ${origin}`, "Access-Control-Request-Method: PUT");

  test("answers a preflight itself", async () => {
    const { client, service } = await setUp({ cors });
    client.send(preflight("https://a.example"));
    const { status, head } = await client.takeResponse();
    expect(status).toBe(200);
    expect(head).toMatch(/^access-control-allow-origin: https:\/\/a\.example\r$/im);
    expect(head).toMatch(/^access-control-allow-methods: GET,PUT\r$/im);
    expect(head).toMatch(/^access-control-allow-headers: x-a\r$/im);
    expect(head).toMatch(/^access-control-max-age: 60\r$/im);
    expect(head).toMatch(/^access-control-allow-credentials: true\r$/im);
    expect(service.connections).toBe(0);
  });

  test("leaves the preflight of another origin to the service", async () => {
    const { client, service } = await setUp({ cors });
    client.send(preflight("https://evil.example"));
    const { head } = await client.takeResponse();
    expect(head).not.toContain("access-control");
    expect(service.requests).toHaveLength(1);
  });

  test("adds its fields to the service's answer, in place of the service's own", async () => {
    const { client } = await setUp({ cors }, (_request, reply) =>
      reply.respond(200, "ok", { "Access-Control-Allow-Origin": "*" }),
    );
    client.send(request("GET /", "Origin: https://a.example"));
    const { head } = await client.takeResponse();
    expect(head.match(/^access-control-allow-origin: .*$/gim)).toEqual([
      "access-control-allow-origin: https://a.example",
    ]);
    expect(head).toMatch(/^access-control-expose-headers: x-b\r$/im);
  });

  test("says nothing to a request without Origin", async () => {
    const { client } = await setUp({ cors });
    client.send(request("GET /"));
    expect((await client.takeResponse()).head).not.toContain("access-control");
  });
});

test("fields that a rule appends come beside those of the client", async () => {
  const { client, service } = await setUp({
    appendRequestHeaders: [
      { name: "x-a", value: "rule" },
      { name: "x-b", value: "rule" },
    ],
  });
  client.send(request("GET /", "x-a: client"));
  await client.takeResponse();
  expect(service.requests[0]!.field("x-a")).toBe("client, rule");
  expect(service.requests[0]!.field("x-b")).toBe("rule");
});

describe("an upgrade to WebSocket", () => {
  const upgrade = request(
    "GET /chat",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
  );
  const accepts: FakeScript = (_request, reply) =>
    reply.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );

  test("passes through where the rule allows it; then bytes go both ways", async () => {
    const { client, service } = await setUp({ websocket: true }, accepts);
    client.send(upgrade);
    const { status, head } = await client.takeResponse();
    expect(status).toBe(101);
    expect(head).toMatch(/^upgrade: websocket\r$/im);
    client.send("\x81\x02hi");
    await service.until(() => service.received.includes("\x81\x02hi"));
  });

  test("is refused where the rule does not", async () => {
    const { client, service } = await setUp({ websocket: false }, accepts);
    client.send(upgrade);
    const { status, head } = await client.takeResponse();
    expect(status).toBe(403);
    expect(head).toContain("x-mesh-reason: upgrade-not-allowed");
    expect(service.connections).toBe(0);
  });

  test("that the service declines is an ordinary answer", async () => {
    const { client } = await setUp({ websocket: true });
    client.send(upgrade);
    const answer = await client.takeResponse();
    expect([answer.status, answer.body]).toEqual([200, "ok"]);
  });
});
