/** Connections that were let in as anybody's, and stand when that is over. */
import { afterEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { systemRandom } from "../../core/random.ts";
import { type FakeReply, FakeUpstream } from "../../testing/fake-upstream.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { config } from "../../testing/snapshot-sample.ts";
import { DataPlane } from "../data-plane.ts";
import { parseProxyFlags } from "../flags.ts";

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const GET = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const strict = config({ version: "2", access: { mutualTls: { mode: "MODE_STRICT" } } });
const permissive = config({ version: "1" });

async function start(...more: readonly string[]) {
  const app = new FakeUpstream();
  const args = ["--service", "shop.default", "--app-port", String(app.port), ...more];
  const ports = ["--outbound", "127.0.0.1:0", "--inbound", "127.0.0.1:0"];
  const parsed = parseProxyFlags([...args, ...ports]);
  if (parsed.at !== "flags") throw new Error(JSON.stringify(parsed));
  const log = new Log("test", { level: "error" });
  const { flags } = parsed;
  const plane = new DataPlane({ flags, clock: systemClock, random: systemRandom, log });
  closers.push(
    () => app.close(),
    () => plane.close(),
  );
  await plane.listen(undefined);
  const client = (direction: "inbound" | "outbound" = "inbound"): Promise<RawClient> =>
    RawClient.connect({ port: plane.address(direction)!.port });
  return { app, plane, client };
}

describe("where STRICT begins", () => {
  test("a connection that is idle ends", async () => {
    const { plane, client, app } = await start();
    await plane.apply(permissive);
    const one = await client();
    one.send(GET);
    expect((await one.takeResponse()).status).toBe(200);
    await plane.apply(strict);
    await one.untilEnd();
    expect(app.requests).toHaveLength(1);
  });

  test("one that came before there was any configuration ends", async () => {
    const { plane, client, app } = await start();
    const one = await client();
    one.send("GET / HTTP/1.1\r\n");
    await one.sent();
    await plane.apply(strict);
    one.send("Host: shop\r\n\r\n");
    await one.untilEnd();
    expect(app.requests).toEqual([]);
  });

  test("one with a request under way ends with that", async () => {
    const { plane, client, app } = await start();
    await plane.apply(permissive);
    let reply: FakeReply | undefined;
    app.script = (_, given) => {
      reply = given;
    };
    const one = await client();
    one.send(GET);
    await app.until(() => reply !== undefined);
    await plane.apply(strict);
    reply!.respond(200, "late");
    const { status, head } = await one.takeResponse();
    expect([status, /\r\nconnection: close\r\n/i.test(head)]).toEqual([200, true]);
    await one.untilEnd();
  });

  test("one that is passed on as it is ends", async () => {
    const { plane, client, app } = await start("--protocol", "tcp");
    await plane.apply(permissive);
    const one = await client();
    one.send(GET);
    expect((await one.takeResponse()).status).toBe(200);
    await plane.apply(strict);
    await one.untilEnd();
    await app.until(() => app.openConnections === 0);
  });

  test("the application's own calls go on", async () => {
    const { plane, client } = await start();
    await plane.apply(permissive);
    const one = await client("outbound");
    one.send(GET);
    expect((await one.takeResponse()).status).toBe(404);
    await plane.apply(strict);
    one.send(GET);
    expect((await one.takeResponse()).status).toBe(404);
  });

  test("at another port nothing ends", async () => {
    const { plane, client } = await start();
    await plane.apply(permissive);
    const one = await client();
    one.send(GET);
    expect((await one.takeResponse()).status).toBe(200);
    const ports = { 1: "MODE_STRICT" };
    await plane.apply(config({ version: "3", access: { mutualTls: { ports } } }));
    one.send(GET);
    expect((await one.takeResponse()).status).toBe(200);
  });
});
