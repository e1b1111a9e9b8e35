/** What only a mixer can answer, and what quota specs charge, seen from client and service. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { HeaderOperation_Operation as Operation } from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import {
  callerNode,
  document,
  noting,
  notingRule,
  RulePolicy,
  remoteRule,
  rule,
} from "../../testing/rule-policy.ts";
import { type AskedCheck, ScriptedMixer } from "../../testing/scripted-mixer.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

const setUp = engineSetUp();
const GET = "GET /a?q=1 HTTP/1.1\r\nHost: svc\r\nx-user: jason\r\n\r\n";
let mixer: ScriptedMixer;
beforeEach(async () => {
  mixer = await ScriptedMixer.open();
});
afterEach(() => mixer.close());

/** An engine with these rules, outbound. */
async function withRules(rules: string) {
  const all = await setUp();
  all.mesh.engine.watchers.policy = new RulePolicy(rules).at("outbound", mixer.client());
  return all;
}

/** The question of that number, once it is there. */
async function asked(number = 0): Promise<AskedCheck> {
  while (mixer.asked.length <= number) await Bun.sleep(1);
  return mixer.asked[number]!;
}

describe("what only the mixer can answer", () => {
  test("lets the request wait, and go on with the answer", async () => {
    const { client, service } = await withRules(remoteRule("r"));
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\nabc");
    const { answer } = await asked();
    expect(service.requests.length).toBe(0);
    const by = { name: "x-by", value: "mixer", operation: Operation.APPEND };
    answer({ routeDirective: { requestHeaderOperations: [by] } });
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests[0]).toMatchObject({ body: "abc" });
    expect(service.requests[0]?.field("x-by")).toBe("mixer");
  });

  test("denies, and at once where the answer is known", async () => {
    const { client } = await withRules(remoteRule("r"));
    const spent = { status: { code: 8, message: "spent" }, validUseCount: 1 };
    client.send(GET);
    (await asked()).answer({ ...spent, validDuration: { seconds: 60n } });
    for (let i = 0; i < 2; i++) {
      const { status, body } = await client.takeResponse();
      expect([status, body]).toEqual([429, "RESOURCE_EXHAUSTED:spent"]);
      client.send(GET);
    }
    (await asked(1)).answer({ status: { code: 16, message: "?" } });
    expect((await client.takeResponse()).status).toBe(401);
  });

  test("is known afterwards as found, or as asked for", async () => {
    const told: unknown[][] = [];
    const rules = new RulePolicy(remoteRule("r") + notingRule(["check.cache_hit"]), [
      noting((values) => void told.push([...values])),
    ]);
    const { client, mesh } = await setUp();
    mesh.engine.watchers.policy = rules.at("outbound", mixer.client());
    client.send(GET);
    (await asked()).answer({ validDuration: { seconds: 60n }, validUseCount: 9 });
    await client.takeResponse();
    client.send(GET);
    await client.takeResponse();
    while (told.length < 2) await Bun.sleep(1);
    expect(told).toEqual([[false], [true]]);
  });

  test("and does not: the rules say what that means", async () => {
    for (const [i, [policy, status]] of (
      [
        ["open", 200],
        ["closed", 503],
      ] as const
    ).entries()) {
      const { client } = await withRules(remoteRule("r", policy));
      client.send(GET);
      (await asked(i)).refuse("not today");
      const answer = await client.takeResponse();
      expect(answer.status).toBe(status);
      if (status === 503) expect(answer.body).toBe("UNAVAILABLE:not today");
    }
    const without = await setUp();
    without.mesh.engine.watchers.policy = new RulePolicy(remoteRule("r")).at("outbound");
    without.client.send(GET);
    expect((await without.client.takeResponse()).body).toBe("UNAVAILABLE:there is no mixer");
  });

  test("is not waited for longer than its time, and late is nothing", async () => {
    const clock = new VirtualClock();
    const { client, mesh } = await setUp(undefined, { clock });
    mesh.engine.watchers.policy = new RulePolicy(remoteRule("r")).at("outbound", mixer.client());
    client.send(GET);
    const { answer } = await asked();
    clock.advance(5_100);
    expect((await client.takeResponse()).body).toBe("UNAVAILABLE:no answer in time");
    answer();
    client.send(GET);
    (await asked(1)).answer();
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("once answered, has no time limit any more", async () => {
    const clock = new VirtualClock();
    const held = Promise.withResolvers<void>();
    const { client, mesh, service } = await setUp(
      async (_request, reply) => {
        await held.promise;
        reply.respond(200, "late");
      },
      { clock },
    );
    mesh.engine.watchers.policy = new RulePolicy(remoteRule("r")).at("outbound", mixer.client());
    client.send(GET);
    (await asked()).answer();
    while (service.requests.length === 0) await Bun.sleep(1);
    clock.advance(6_000);
    held.resolve();
    expect((await client.takeResponse()).body).toBe("late");
  });

  test("is of no use any more when the client has gone", async () => {
    const { client, connect, service } = await withRules(remoteRule("r"));
    client.send(GET);
    const { answer } = await asked();
    client.terminate();
    const other = await connect();
    other.send("GET /other HTTP/1.1\r\nHost: svc\r\n\r\n");
    (await asked(1)).answer();
    expect((await other.takeResponse()).status).toBe(200);
    answer();
    other.send("GET /more HTTP/1.1\r\nHost: svc\r\n\r\n");
    (await asked(2)).answer();
    await other.takeResponse();
    expect(service.requests.map(({ target }) => target)).toEqual(["/other", "/more"]);
  });
});

describe("what a QuotaSpec charges", () => {
  const charges =
    document("QuotaSpec", "s", {
      rules: [{ quotas: [{ quota: "calls", charge: 2 }] }],
    }) +
    document("QuotaSpecBinding", "s", {
      services: [{ service: "*" }],
      quotaSpecs: [{ name: "s" }],
    }) +
    document("instance", "calls", { compiledTemplate: "quota", params: { dimensions: {} } });
  const limited = (compiledAdapter: "memquota" | "redisquota", failPolicy = "closed"): string => {
    const quotas = [{ name: "calls.instance.default", maxAmount: 5, validDuration: "10s" }];
    const more = compiledAdapter === "redisquota" ? { redisServerUrl: "127.0.0.1:1" } : {};
    const handler = { compiledAdapter, params: { quotas, ...more } };
    return charges + rule("q", { failPolicy, actions: [{ handler, instances: ["calls"] }] });
  };
  const inbound = async (rules: string) => {
    const { mesh, service } = await setUp();
    const policy = new RulePolicy(rules).at("inbound", mixer.client());
    mesh.engine.watchers.policy = policy;
    const port = mesh.listenInbound(service.port);
    return { service, call: () => fetch(`http://127.0.0.1:${port}/`) };
  };

  test("is taken where the service is, and refused when it is spent", async () => {
    const { call } = await inbound(limited("memquota"));
    const answers = [await call(), await call(), await call()];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    const last = answers[2]!;
    expect(await last.text()).toBe("RESOURCE_EXHAUSTED:Quota is exhausted for: calls");
    expect(last.headers.get("x-mesh-reason")).toBe("rate-limited; q.rule.default");
    expect(Number(last.headers.get("retry-after"))).toBeOneOf([9, 10]);
  });

  test("of a service with a proxy is not taken by its callers too, but by a gateway", async () => {
    const matched: unknown[] = [];
    for (const mode of ["sidecar", "gateway"] as const) {
      const { mesh, connect } = await setUp(undefined, { meshTransport: true });
      const rules = new RulePolicy(limited("memquota"));
      mesh.engine.watchers.policy = rules.at("outbound", undefined, { ...callerNode, mode });
      const client = await connect();
      const codes: number[] = [];
      for (let i = 0; i < 3; i++) {
        client.send(GET);
        codes.push((await client.takeResponse()).status);
      }
      expect(codes).toEqual(mode === "sidecar" ? [200, 200, 200] : [200, 200, 429]);
      matched.push(rules.test.runtime.statistics.of("q.rule.default")?.matched);
    }
    expect(matched).toEqual([0, 3]);
  });

  test("and only the mixer can grant is asked for with its checks", async () => {
    const { call, service } = await inbound(remoteRule("r", "open") + limited("redisquota"));
    const answer = call();
    const { request, refuse } = await asked();
    expect(request.quotas).toMatchObject({ calls: { amount: 2n, bestEffort: false } });
    expect(service.requests.length).toBe(0);
    refuse("gone");
    expect((await answer).status).toBe(503);
  });
});
