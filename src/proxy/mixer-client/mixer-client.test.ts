/** A proxy's side of the mixer against a real one, whose backend is a webhook of the test's. */
import { afterEach, expect, test } from "bun:test";
import type { Server } from "bun";
import { MutableBag } from "../../attribute/bag.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { systemRandom } from "../../core/random.ts";
import type { PolicyRuntime } from "../../policy/runtime.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { freePorts } from "../../testing/free-port.ts";
import {
  proxyRuntime,
  publishRules,
  type ServedMixer,
  serveMixer,
} from "../../testing/mixer-set-up.ts";
import type { MixerAnswer, MixerQuota } from "../policy/mixer-seat.ts";
import { RemoteMixer } from "./mixer-client.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Answers as the test says, and notes what it was asked. */
function webhook(answer: (asked: Asked) => object): { url: string; asked: Asked[] } {
  const asked: Asked[] = [];
  const server: Server<undefined> = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const body = (await request.json()) as Asked;
      asked.push(body);
      return Response.json(answer(body));
    },
  });
  closing.push(() => server.stop(true));
  return { url: server.url.href, asked };
}

interface Asked {
  readonly template: string;
  readonly amount?: number;
  readonly instance?: { readonly value?: string };
  readonly instances?: readonly { readonly value?: unknown }[];
}

const rules = (url: string, more = ""): string => `
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: hook, namespace: istio-system }
spec: { compiledAdapter: webhook, params: { url: "${url}" } }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: who, namespace: istio-system }
spec: { compiledTemplate: listentry, params: { value: source.user | "nobody" } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: ask, namespace: istio-system }
spec: { actions: [{ handler: hook, instances: [who] }] }
${more}`;

const quotaRule = `---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: tokens, namespace: istio-system }
spec: { compiledTemplate: quota, params: { dimensions: { user: source.user | "nobody" } } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: limit, namespace: istio-system }
spec: { actions: [{ handler: hook, instances: [tokens] }] }
`;

const reportRule = `---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: sizes, namespace: istio-system }
spec: { compiledTemplate: metric, params: { value: request.size } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: tell, namespace: istio-system }
spec: { actions: [{ handler: hook, instances: [sizes] }] }
`;

/** Time stands for what is kept; timers run. */
const frozen: Clock = { ...systemClock, nowMs: () => 1_000 };

async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`);
    await Bun.sleep(5);
  }
}

interface Changes {
  readonly timeoutMs?: number;
  readonly retriesMax?: number;
  readonly clock?: Clock;
}

class ProxySide {
  readonly runtime: PolicyRuntime;
  readonly metrics = new Metrics({ seriesMax: 100 });
  readonly client: RemoteMixer;

  constructor(text: string, port: number, options: Changes = {}) {
    this.runtime = proxyRuntime(text);
    this.client = new RemoteMixer({
      ...{ hostname: "127.0.0.1", port, clock: systemClock, random: systemRandom },
      ...{ log: new Log("proxy", { level: "error" }, () => {}), metrics: this.metrics },
      ...{ timeoutMs: 2_000, retriesMax: 0, cacheMax: 10_000, optimistic: false, ...options },
    });
    this.follow();
    closing.push(() => {
      this.client.close();
      this.runtime.close();
    });
  }

  follow(): void {
    const { current } = this.runtime;
    this.client.follow(current, current.vocabulary);
  }

  /** The answer and whether it was there at once; text: why nobody answered. */
  check(
    user: string,
    quotas: readonly MixerQuota[] = [],
  ): Promise<[MixerAnswer | string, boolean]> {
    const { current } = this.runtime;
    const bag = new MutableBag(current.vocabulary);
    bag.set("source.user", { type: "STRING", value: user });
    bag.set("request.size", { type: "INT64", value: 5 });
    return new Promise((resolve) => {
      const asker = {
        mixerAnswered: (answer: MixerAnswer) => resolve([answer, false]),
        mixerFailed: (reason: string) => resolve([reason, false]),
      };
      const told = this.client.check(bag, current.scopeFor(bag), asker, quotas);
      if (told.at === "answered") resolve([told, true]);
    });
  }

  report(size: number): void {
    const { current } = this.runtime;
    const bag = new MutableBag(current.vocabulary);
    bag.set("request.size", { type: "INT64", value: size });
    this.client.report(bag, current.scopeFor(bag));
  }

  figure(series: string): number {
    const line = renderPrometheus([this.metrics])
      .split("\n")
      .find((text) => text.startsWith(`${series} `));
    return Number(line?.split(" ")[1] ?? Number.NaN);
  }
}

async function set(text: string, options?: Changes) {
  const mixer: ServedMixer = await serveMixer(text);
  closing.push(() => mixer.close());
  return { mixer, proxy: new ProxySide(text, mixer.port, options) };
}

const denyBob = ({ instance }: Asked): object =>
  instance?.value === "bob"
    ? { code: 7, message: "not you", validDuration: "30s", validUseCount: 1_000 }
    : { validDuration: "30s", validUseCount: 1_000 };

test("an answer is asked for once, and then known; a denial too", async () => {
  const hook = webhook(denyBob);
  const { proxy } = await set(rules(hook.url));
  expect(await proxy.check("alice")).toMatchObject([{ code: 0 }, false]);
  expect(await proxy.check("alice")).toMatchObject([{ code: 0 }, true]);
  expect(await proxy.check("bob")).toMatchObject([{ code: 7 }, false]);
  const [denied, atOnce] = await proxy.check("bob");
  expect(denied).toMatchObject({
    message: "hook.handler.istio-system:not you",
    rule: "ask.rule.istio-system",
  });
  expect([atOnce, hook.asked.length]).toEqual([true, 2]);
  expect(proxy.figure('mesh_mixer_cache_lookups_total{result="hit"}')).toBe(2);
  expect(proxy.figure("mesh_mixer_cache_entries")).toBe(2);
});

test("what a backend does not allow to be kept is asked for each time", async () => {
  const hook = webhook(() => ({ code: 7, message: "no" }));
  const { proxy } = await set(rules(hook.url));
  for (let i = 0; i < 3; i++) expect((await proxy.check("bob"))[1]).toBe(false);
  expect(hook.asked.length).toBe(3);
});

test("a policy that the proxy gets voids what is known", async () => {
  const hook = webhook(denyBob);
  const { proxy, mixer } = await set(rules(hook.url));
  await proxy.check("alice");
  const changed = rules(`${hook.url}other`);
  mixer.configure(changed);
  publishRules(proxy.runtime, changed);
  proxy.follow();
  expect(await proxy.check("alice")).toMatchObject([{ code: 0 }, false]);
});

test("a mixer that has another policy than it had voids what is known", async () => {
  const hook = webhook(denyBob);
  const { proxy, mixer } = await set(rules(hook.url));
  await proxy.check("alice");
  expect((await proxy.check("alice"))[1]).toBe(true);
  mixer.configure(rules(`${hook.url}other`));
  await proxy.check("bob");
  expect(await proxy.check("alice")).toMatchObject([{ code: 0 }, false]);
});

test("a quota of one process is exact, however many ask at a time", async () => {
  let left = 57;
  const hook = webhook((asked) => {
    if (asked.template !== "quota") return denyBob(asked);
    const granted = Math.min(left, asked.amount ?? 0);
    left -= granted;
    return { granted, validDuration: granted > 0 ? "60s" : "7s" };
  });
  const { proxy } = await set(rules(hook.url, quotaRule), { clock: frozen });
  await proxy.check("alice");
  const quotas = [{ quota: "Tokens", amount: 1 }];
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => proxy.check("alice", quotas)),
  );
  const codes = answers.map(([answer]) => (typeof answer === "string" ? answer : answer.code));
  expect([codes.filter((code) => code === 0).length, left]).toEqual([57, 0]);
  expect(codes.filter((code) => code === 8).length).toBe(143);
  const refused = answers.find(([answer]) => typeof answer !== "string" && answer.code === 8);
  expect(refused?.[0]).toMatchObject({ message: "Quota is exhausted for: Tokens" });
  expect(hook.asked.filter(({ template }) => template === "quota").length).toBeLessThan(20);
});

test("where the answer is not known yet, the quota is asked for with it", async () => {
  const hook = webhook((asked) =>
    asked.template === "quota" ? { granted: asked.amount } : denyBob(asked),
  );
  const { proxy } = await set(rules(hook.url, quotaRule));
  const quotas = [{ quota: "tokens", amount: 3 }];
  expect(await proxy.check("alice", quotas)).toMatchObject([{ code: 0 }, false]);
  expect(hook.asked.map(({ template, amount }) => [template, amount])).toEqual([
    ["listentry", undefined],
    ["quota", 3],
  ]);
  expect(await proxy.check("bob", quotas)).toMatchObject([{ code: 7 }, false]);
  expect(hook.asked.length).toBe(3);
});

test("who is refused together with the answer is told when to come again", async () => {
  const hook = webhook((asked) =>
    asked.template === "quota" ? { granted: 0, validDuration: "7s" } : denyBob(asked),
  );
  const { proxy } = await set(rules(hook.url, quotaRule), { clock: frozen });
  const quotas = [{ quota: "tokens", amount: 3 }];
  const exhausted = { code: 8, retryAfterMs: 7_000 };
  expect(await proxy.check("alice", quotas)).toMatchObject([exhausted, false]);
  // By the answer that is kept, and a quota that is fetched ahead.
  expect((await proxy.check("alice", quotas))[0]).toMatchObject(exhausted);
});

test("reports come together, and none is lost at the end", async () => {
  const hook = webhook(() => ({}));
  const { proxy } = await set(rules(hook.url, reportRule));
  for (let size = 0; size < 150; size++) proxy.report(size);
  proxy.client.close();
  const reported = () =>
    hook.asked.flatMap(({ instances }) => instances?.map(({ value }) => value) ?? []);
  await until(() => reported().length >= 150, "150 reports");
  expect(reported().sort()).toEqual(Array.from({ length: 150 }, (_, size) => size).sort());
  await until(() => proxy.figure("mesh_mixer_reported_total") === 150, "150 are counted");
});

test("a mixer that is away fails a question at once, a report is dropped and counted", async () => {
  const hook = webhook(denyBob);
  const [port = 0] = freePorts(1);
  const proxy = new ProxySide(rules(hook.url, reportRule), port);
  const startMs = performance.now();
  expect(await proxy.check("alice")).toEqual(["connection refused", false]);
  expect(await proxy.check("alice")).toEqual(["connection refused", false]);
  expect(performance.now() - startMs).toBeLessThan(500);
  for (let i = 0; i < 100; i++) proxy.report(i);
  await until(() => proxy.figure("mesh_mixer_reports_dropped_total") === 100, "100 dropped");
  const mixer = await serveMixer(rules(hook.url), port);
  closing.push(() => mixer.close());
  for (let i = 0; typeof (await proxy.check("alice"))[0] === "string"; i++) {
    if (i > 500) throw new Error("not found again");
    await Bun.sleep(5);
  }
});

test("a try that nobody judged is made again, as often as it is said", async () => {
  const hook = webhook(denyBob);
  const [port = 0] = freePorts(1);
  const proxy = new ProxySide(rules(hook.url), port, { retriesMax: 20 });
  const asked = proxy.check("alice");
  const mixer = await serveMixer(rules(hook.url), port);
  closing.push(() => mixer.close());
  expect(await asked).toMatchObject([{ code: 0 }, false]);
  expect(proxy.figure('mesh_mixer_calls_total{call="check",outcome="success"}')).toBe(1);
});

test("a mixer of another release, which knows fewer words, is asked in those", async () => {
  const { Mixer, CheckResponseSchema } = await import("../../api/gen/istio/mixer/v1/mixer_pb.ts");
  const { create } = await import("@bufbuild/protobuf");
  const { serveUnary } = await import("../../api/serve-unary.ts");
  const { unaryMethod } = await import("../../api/unary-method.ts");
  const { CallFault } = await import("../../api/call-fault.ts");
  const seen: number[] = [];
  const old = await serveUnary({
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock },
    ...{ messageBytesMax: 1 << 20, heldBytesMax: 32 << 20, callsMax: 1_000 },
    fetch: () => new Response(null, { status: 404 }),
    methods: [
      unaryMethod(Mixer.method.check, async ({ globalWordCount }) => {
        seen.push(globalWordCount);
        const words = "inconsistent global dictionary versions used: mixer knows 158 words";
        if (globalWordCount > 158) throw new CallFault(13, words);
        return create(CheckResponseSchema, { precondition: { validUseCount: 1 } });
      }),
    ],
  });
  closing.push(() => old.close());
  const hook = webhook(denyBob);
  const proxy = new ProxySide(rules(hook.url), old.port);
  expect((await proxy.check("alice"))[0]).toMatch(/^inconsistent/);
  expect(await proxy.check("alice")).toMatchObject([{ code: 0 }, false]);
  expect(seen).toEqual([222, 111]);
});
