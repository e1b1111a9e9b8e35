/** What only a mixer can answer, and what quota specs charge, seen from client and service. */
import { describe, expect, test } from "bun:test";
import { StatusCode } from "../../policy/status-code.ts";
import type { Verdict } from "../../policy/verdict.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import {
  FakeMixer,
  FakePolicy,
  type FakeRules,
  fakeNode,
  mixerOk,
} from "../../testing/fake-policy.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

const setUp = engineSetUp();
const GET = "GET /a?q=1 HTTP/1.1\r\nHost: svc\r\nx-user: jason\r\n\r\n";
const headers = { "request.headers": "STRING_MAP", "request.path": "STRING" } as const;

/** An engine with these rules, outbound. */
async function withRules(rules: FakeRules, mixer?: FakeMixer) {
  const all = await setUp();
  all.mesh.engine.watchers.policy = new FakePolicy(rules).at("outbound", mixer);
  return all;
}

const always = (verdict: Partial<Verdict>): FakeRules => ({
  attributes: headers,
  check: () => verdict,
});

describe("what only the mixer can answer", () => {
  const asks = (mixerFailPolicy: "open" | "closed" = "closed") =>
    always({ needsMixer: true, mixerFailPolicy });
  const asked = async (mixer: FakeMixer): Promise<void> => {
    while (mixer.waiting.length === 0) await Bun.sleep(1);
  };

  test("lets the request wait, and go on with the answer", async () => {
    const mixer = new FakeMixer();
    const { client, service } = await withRules(asks(), mixer);
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\nabc");
    await asked(mixer);
    expect(service.requests.length).toBe(0);
    const requestHeaders = [{ name: "x-by", value: "mixer", operation: "append" } as const];
    mixer.waiting[0]!.mixerAnswered({ ...mixerOk, requestHeaders });
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests[0]).toMatchObject({ body: "abc" });
    expect(service.requests[0]?.field("x-by")).toBe("mixer");
  });

  test("denies, at once where the answer is known", async () => {
    const mixer = new FakeMixer();
    mixer.known = { ...mixerOk, code: StatusCode.resourceExhausted, message: "spent" };
    const { client } = await withRules(asks(), mixer);
    client.send(GET);
    const { status, body } = await client.takeResponse();
    expect([status, body]).toEqual([429, "RESOURCE_EXHAUSTED:spent"]);
    mixer.known = undefined;
    client.send(GET);
    await asked(mixer);
    mixer.waiting[0]!.mixerAnswered({ ...mixerOk, code: StatusCode.unauthenticated, message: "?" });
    expect((await client.takeResponse()).status).toBe(401);
  });

  test("and does not: the rules say what that means", async () => {
    for (const [policy, status] of [
      ["open", 200],
      ["closed", 503],
    ] as const) {
      const mixer = new FakeMixer();
      const { client } = await withRules(asks(policy), mixer);
      client.send(GET);
      await asked(mixer);
      mixer.waiting[0]!.mixerFailed("connection refused");
      const answer = await client.takeResponse();
      expect(answer.status).toBe(status);
      if (status === 503) expect(answer.body).toBe("UNAVAILABLE:connection refused");
    }
    const without = await withRules(asks());
    without.client.send(GET);
    expect((await without.client.takeResponse()).body).toBe("UNAVAILABLE:there is no mixer");
  });

  test("is not waited for longer than its time", async () => {
    const mixer = new FakeMixer();
    const clock = new VirtualClock();
    const { client, mesh } = await setUp(undefined, { clock });
    mesh.engine.watchers.policy = new FakePolicy(asks()).at("outbound", mixer);
    client.send(GET);
    await asked(mixer);
    clock.advance(5_100);
    expect((await client.takeResponse()).body).toBe("UNAVAILABLE:no answer in time");
    expect(mixer.cancelled).toBe(1);
  });

  test("once answered, has no time limit any more", async () => {
    const mixer = new FakeMixer();
    const clock = new VirtualClock();
    const held = Promise.withResolvers<void>();
    const { client, mesh, service } = await setUp(
      async (_request, reply) => {
        await held.promise;
        reply.respond(200, "late");
      },
      { clock },
    );
    mesh.engine.watchers.policy = new FakePolicy(asks()).at("outbound", mixer);
    client.send(GET);
    await asked(mixer);
    mixer.waiting[0]!.mixerAnswered(mixerOk);
    while (service.requests.length === 0) await Bun.sleep(1);
    clock.advance(6_000);
    held.resolve();
    expect((await client.takeResponse()).body).toBe("late");
  });

  test("is not asked any more when the client goes", async () => {
    const mixer = new FakeMixer();
    const { client, service } = await withRules(asks(), mixer);
    client.send(GET);
    await asked(mixer);
    client.terminate();
    while (mixer.cancelled === 0) await Bun.sleep(1);
    expect(service.requests.length).toBe(0);
  });
});

describe("what a QuotaSpec charges", () => {
  const spec = {
    name: "s.quotaspec.default",
    services: ["*"],
    spec: { rules: [{ match: [], quotas: [{ quota: "calls", charge: 2 }] }] },
  };
  const inbound = async (rules: Partial<FakeRules>, mixer?: FakeMixer) => {
    const { mesh, service } = await setUp();
    const policy = new FakePolicy({ attributes: headers, quotaSpecs: [spec], ...rules });
    mesh.engine.watchers.policy = policy.at("inbound", mixer);
    const port = mesh.listenInbound(service.port);
    return { service, call: () => fetch(`http://127.0.0.1:${port}/`) };
  };

  test("is taken where the service is, and refused when it is spent", async () => {
    let left = 5;
    const { call } = await inbound({
      allocate: ({ quota, amount }) => {
        expect(quota).toBe("calls");
        left -= amount;
        return left < 0 ? { granted: 0, rule: "q.rule.default" } : {};
      },
    });
    const answers = [await call(), await call(), await call()];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(await answers[2]!.text()).toBe("RESOURCE_EXHAUSTED:Quota is exhausted for: calls");
    expect(answers[2]!.headers.get("x-mesh-reason")).toBe("rate-limited; q.rule.default");
  });

  test("of a service with a proxy is not taken by its callers too, but by a gateway", async () => {
    const asked = { sidecar: 0, gateway: 0 };
    for (const mode of ["sidecar", "gateway"] as const) {
      const allocate = () => ({ granted: ++asked[mode] });
      const rules = { attributes: headers, quotaSpecs: [spec], allocate };
      const { mesh, connect } = await setUp(undefined, { meshTransport: true });
      mesh.engine.watchers.policy = new FakePolicy(rules).at("outbound", undefined, {
        ...fakeNode,
        mode,
      });
      const client = await connect();
      client.send(GET);
      expect((await client.takeResponse()).status).toBe(mode === "sidecar" ? 200 : 429);
    }
    expect(asked).toEqual({ sidecar: 0, gateway: 1 });
  });

  test("and only the mixer can grant is asked for with its checks", async () => {
    const mixer = new FakeMixer();
    const { call, service } = await inbound(
      {
        check: () => ({ needsMixer: true, mixerFailPolicy: "open" }),
        allocate: () => ({ needsMixer: true, mixerFailPolicy: "closed" }),
      },
      mixer,
    );
    const answer = call();
    while (mixer.waiting.length < 1) await Bun.sleep(1);
    expect(mixer.quotas).toEqual([{ quota: "calls", amount: 2 }]);
    expect(service.requests.length).toBe(0);
    mixer.waiting[0]!.mixerFailed("gone");
    expect((await answer).status).toBe(503);
  });
});
