/** What policy has to say of connections that are passed on, and what it is told of them. */
import { afterEach, describe, expect, test } from "bun:test";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { RelayFixture } from "../../testing/relay-fixture.ts";
import {
  denyingRule,
  noting,
  notingRule,
  RulePolicy,
  remoteRule,
} from "../../testing/rule-policy.ts";
import { ScriptedMixer } from "../../testing/scripted-mixer.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const PING = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

interface Around {
  readonly mixer?: ScriptedMixer;
  readonly clock?: VirtualClock;
}

/** Of a proxy that has all the time that it needs: no limit of its calls passes. */
function standingClock(): VirtualClock {
  const clock = new VirtualClock();
  clock.advance(1);
  return clock;
}

async function relayed(
  rules: string | RulePolicy,
  { mixer, clock = standingClock() }: Around = {},
) {
  const service = new FakeUpstream();
  closers.push(() => service.close());
  const mesh = new RelayFixture({ endpoints: [service.port], clock });
  closers.push(() => mesh.close());
  const policy = typeof rules === "string" ? new RulePolicy(rules) : rules;
  mesh.relays.policy = policy.ofRelays("outbound", mixer?.client(clock));
  const client = await RawClient.connect({ port: mesh.port });
  closers.push(() => client.terminate());
  return { service, mesh, client };
}

async function scriptedMixer(): Promise<ScriptedMixer> {
  const mixer = await ScriptedMixer.open();
  closers.push(() => mixer.close());
  return mixer;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(1);
}

describe("a connection that a rule denies", () => {
  test("is ended before anybody is called, and counted", async () => {
    const told: unknown[] = [];
    const names = ["connection.event", "context.proxy_error_code", "check.error_code"];
    const rules = denyingRule("r", { code: 7, message: "no" }) + notingRule(names);
    const note = noting((values) => void told.push([...values]));
    const { service, mesh, client } = await relayed(new RulePolicy(rules, [note]));
    client.send(PING);
    await until(() => told.length > 0);
    expect(service.connections).toBe(0);
    expect(mesh.series('response_flags="UAEX"').length).toBeGreaterThan(0);
    expect(told).toEqual([["close", "UAEX", 7]]);
  });

  test("by a quota is told apart", async () => {
    const { mesh, client } = await relayed(denyingRule("r", { code: 8 }));
    client.send(PING);
    await until(() => mesh.series('response_flags="RL"').length > 0);
  });
});

describe("what only the mixer can answer", () => {
  test("is waited for, and what was sent meanwhile is not lost", async () => {
    const mixer = await scriptedMixer();
    const { service, client } = await relayed(remoteRule("r"), { mixer });
    client.send(PING);
    await until(() => mixer.asked.length === 1);
    expect(service.connections).toBe(0);
    mixer.asked[0]!.answer();
    expect((await client.takeResponse()).body).toBe("ok");
  });

  test("is waited for by a client that has said all it had to say", async () => {
    const mixer = await scriptedMixer();
    const { service, client } = await relayed(remoteRule("r"), { mixer });
    client.send(PING);
    client.shutdown();
    await until(() => mixer.asked.length === 1);
    mixer.asked[0]!.answer();
    expect(await client.untilEnd()).toEndWith("ok");
    expect(service.received).toBe(PING);
  });

  test("is waited for by a client that sends more than is taken meanwhile", async () => {
    const mixer = await scriptedMixer();
    const { service, client } = await relayed(remoteRule("r"), { mixer });
    const sent = `${PING}${"x".repeat(8 << 20)}`;
    client.send(sent);
    await until(() => mixer.asked.length === 1);
    mixer.asked[0]!.answer();
    expect((await client.takeResponse()).body).toBe("ok");
    await client.sent();
    await service.until(() => service.received.length === sent.length);
  });

  test("and is not judged by a mixer that is busy: that is no leave", async () => {
    const mixer = await scriptedMixer();
    const { mesh, service, client } = await relayed(remoteRule("r"), { mixer });
    client.send(PING);
    await until(() => mixer.asked.length === 1);
    mixer.asked[0]!.refuse("busy");
    await client.untilEnd();
    expect(mesh.series('response_flags="UAEX"').length).toBeGreaterThan(0);
    expect(service.connections).toBe(0);
  });

  test("and is not answered in time: the rules say what that means", async () => {
    for (const policy of ["open", "closed"] as const) {
      const mixer = await scriptedMixer();
      const clock = standingClock();
      const { mesh, service, client } = await relayed(remoteRule("r", policy), { mixer, clock });
      client.send(PING);
      await until(() => mixer.asked.length === 1);
      clock.advance(5_100);
      if (policy === "open") await until(() => service.requests.length === 1);
      else await until(() => mesh.series('response_flags="UAEX"').length > 0);
    }
  });

  test("is of no use any more when the client has gone", async () => {
    const mixer = await scriptedMixer();
    const { service, mesh, client } = await relayed(remoteRule("r"), { mixer });
    await until(() => mixer.asked.length === 1);
    client.terminate();
    const other = await RawClient.connect({ port: mesh.port });
    closers.push(() => other.terminate());
    other.send(PING);
    await until(() => mixer.asked.length === 2);
    for (const { answer } of mixer.asked) answer();
    expect((await other.takeResponse()).body).toBe("ok");
    expect(service.connections).toBe(1);
  });
});

test("policy is told when a connection opens, goes on and closes: of what is new", async () => {
  const told: unknown[][] = [];
  const names = [
    ...["connection.id", "connection.event", "connection.received.bytes"],
    ...["connection.received.bytes_total", "connection.sent.bytes", "destination.service.host"],
    'context.proxy_error_code | "-"',
  ];
  const clock = standingClock();
  const note = noting(([id, ...values]) => {
    expect(id).toBe("caller-1.default-1");
    told.push(values);
  });
  const rules = new RulePolicy(notingRule(names), [note]);
  const { client } = await relayed(rules, { clock });
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
    ["open", 0, 0, 0, "svc", "-"],
    ["continue", size, size, sent, "svc", "-"],
    ["close", size, 2 * size, sent, "svc", "DC"],
  ]);
});

test("where no rule concerns connections nothing is kept of them", async () => {
  const { client, mesh } = await relayed("");
  client.send(PING);
  expect((await client.takeResponse()).body).toBe("ok");
  expect(mesh.relays.watch(mesh.begun[0]!)).toBeUndefined();
});
