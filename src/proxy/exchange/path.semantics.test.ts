/** One form of a path: routed by, forwarded, tried again, logged; on real sockets. */
import { afterEach, expect, test } from "bun:test";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import type { RawClient } from "../../testing/raw-client.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

async function setUp(
  options: Partial<EngineFixtureOptions>,
  script?: FakeScript,
): Promise<{ client: RawClient; service: FakeUpstream }> {
  const service = new FakeUpstream(script === undefined ? {} : { script });
  const mesh = new EngineFixture({ endpoints: [service.port], ...options });
  const client = await mesh.connect();
  closers.push(
    () => mesh.close(),
    () => service.close(),
    () => client.terminate(),
  );
  return { client, service };
}

test("a path in disguise takes the route of what it is, and arrives as that", async () => {
  const { client, service } = await setUp({
    route: { match: { path: { kind: { case: "prefix", value: "/admin" } } } },
  });
  const body = "Host: svc\r\nContent-Length: 2\r\n\r\nhi";
  for (const path of ["/a/%2e%2e/admin?q=/../x", "/./%61dmin?q=/../x"]) {
    client.send(`POST ${path} HTTP/1.1\r\n${body}`);
    expect((await client.takeResponse()).status).toBe(200);
  }
  client.send(`POST http://svc/a/..\\admin HTTP/1.1\r\n${body}`);
  expect((await client.takeResponse()).status).toBe(200);
  client.send(`POST /admin/%2e%2e/other HTTP/1.1\r\n${body}`);
  expect((await client.takeResponse()).status).toBe(404);
  expect(service.requests.map(({ target }) => target)).toEqual([
    "/admin?q=/../x",
    "/admin?q=/../x",
    "/admin",
  ]);
});

test("what two readers would take for two paths is 400", async () => {
  const { client, service } = await setUp({});
  client.send("GET /a/..;/admin HTTP/1.1\r\nHost: svc\r\n\r\n");
  const answer = await client.takeResponse();
  expect(answer.status).toBe(400);
  expect(answer.head).toContain("x-mesh-reason: bad-request-target");
  expect(service.requests).toEqual([]);
});
