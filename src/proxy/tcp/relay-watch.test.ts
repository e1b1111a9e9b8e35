/** What policy has to say of connections that are passed on, and what it is told of them. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Verdict } from "../../policy/verdict.ts";
import { FakeMixer, FakePolicy, type FakeRules, mixerOk } from "../../testing/fake-policy.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { RelayFixture } from "../../testing/relay-fixture.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const attributes = {
  "connection.event": "STRING",
  "connection.id": "STRING",
  "connection.received.bytes": "INT64",
  "connection.received.bytes_total": "INT64",
  "connection.sent.bytes": "INT64",
  "destination.service.host": "STRING",
  "context.proxy_error_code": "STRING",
  "check.error_code": "INT64",
} as const;
const PING = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function relayed(rules: Partial<FakeRules>, mixer?: FakeMixer, clock?: VirtualClock) {
  const service = new FakeUpstream();
  closers.push(() => service.close());
  const mesh = new RelayFixture({ endpoints: [service.port], ...(clock && { clock }) });
  closers.push(() => mesh.close());
  mesh.relays.policy = new FakePolicy({ attributes, ...rules }).ofRelays("outbound", mixer);
  const client = await RawClient.connect({ port: mesh.port });
  closers.push(() => client.terminate());
  return { service, mesh, client };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(1);
}

const verdict =
  (one: Partial<Verdict>): NonNullable<FakeRules["check"]> =>
  () =>
    one;

describe("a connection that a rule denies", () => {
  test("is ended before anybody is called, and counted", async () => {
    const told: unknown[] = [];
    const { service, mesh, client } = await relayed({
      check: verdict({ code: 7, message: "no" }),
      report: (read) => {
        told.push(["connection.event", "context.proxy_error_code", "check.error_code"].map(read));
        return undefined;
      },
    });
    client.send(PING);
    await until(() => told.length > 0);
    expect(service.connections).toBe(0);
    expect(mesh.series('response_flags="UAEX"').length).toBeGreaterThan(0);
    expect(told).toEqual([["close", "UAEX", 7]]);
  });

  test("by a quota is told apart", async () => {
    const { mesh, client } = await relayed({ check: verdict({ code: 8, message: "no" }) });
    client.send(PING);
    await until(() => mesh.series('response_flags="RL"').length > 0);
  });
});

describe("what only the mixer can answer", () => {
  const asks = (mixerFailPolicy: "open" | "closed") => ({
    check: verdict({ needsMixer: true, mixerFailPolicy }),
  });

  test("is waited for, and what was sent meanwhile is not lost", async () => {
    const mixer = new FakeMixer();
    const { service, client } = await relayed(asks("closed"), mixer);
    client.send(PING);
    await until(() => mixer.waiting.length === 1);
    expect(service.connections).toBe(0);
    mixer.waiting[0]!.mixerAnswered(mixerOk);
    expect((await client.takeResponse()).body).toBe("ok");
  });

  test("and is not answered in time: the rules say what that means", async () => {
    for (const policy of ["open", "closed"] as const) {
      const mixer = new FakeMixer();
      const clock = new VirtualClock();
      const { mesh, service, client } = await relayed(asks(policy), mixer, clock);
      client.send(PING);
      await until(() => mixer.waiting.length === 1);
      clock.advance(5_100);
      expect(mixer.cancelled).toBe(1);
      if (policy === "open") await until(() => service.requests.length === 1);
      else await until(() => mesh.series('response_flags="UAEX"').length > 0);
    }
  });

  test("is not asked any more when the client goes", async () => {
    const mixer = new FakeMixer();
    const { client } = await relayed(asks("open"), mixer);
    await until(() => mixer.waiting.length === 1);
    client.terminate();
    await until(() => mixer.cancelled === 1);
  });
});

test("policy is told when a connection opens, goes on and closes: of what is new", async () => {
  const told: unknown[][] = [];
  const names = [
    ...["connection.event", "connection.received.bytes", "connection.received.bytes_total"],
    ...["connection.sent.bytes", "destination.service.host", "context.proxy_error_code"],
  ];
  const clock = new VirtualClock();
  const report: FakeRules["report"] = (read) => {
    told.push(names.map(read));
    expect(read("connection.id")).toBe("caller-1.default-1");
    return undefined;
  };
  const { client } = await relayed({ report }, undefined, clock);
  client.send(PING);
  const { head } = await client.takeResponse();
  const sent = head.length + 2;
  clock.advance(10_000);
  client.send(PING);
  await client.takeResponse();
  client.terminate();
  await until(() => told.length === 3);
  const size = PING.length;
  expect(told).toEqual([
    ["open", 0, 0, 0, "svc", undefined],
    ["continue", size, size, sent, "svc", undefined],
    ["close", size, 2 * size, sent, "svc", "DC"],
  ]);
});

test("where no rule concerns connections nothing is kept of them", async () => {
  const { client, mesh } = await relayed({});
  client.send(PING);
  expect((await client.takeResponse()).body).toBe("ok");
  expect(mesh.relays.watch(mesh.begun[0]!)).toBeUndefined();
});
