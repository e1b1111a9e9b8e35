/**
 * bun src/bench/policy-mixer.ts [known] [asked] [shared] [--seconds N]: questions for the mixer.
 *
 *   known     a question whose answer is kept, in the proxy
 *   asked     Check of one rule over gRPC, on one connection, 64 at a time: processor time of the
 *             mixer, and so how many a core of it answers
 *   shared    one limit of three proxies, over two mixers and a Redis: how far off is the sum?
 *
 * Build first: the mixers are the built binary.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { create } from "@bufbuild/protobuf";
import { CheckRequestSchema, Mixer } from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import { GrpcClient } from "../api/grpc-client.ts";
import { framed } from "../api/grpc-text.ts";
import type { CallAnswer } from "../api/outgoing-call.ts";
import { encodeAttributes } from "../attribute/attribute-message.ts";
import { MutableBag, type WireValue } from "../attribute/bag.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { systemRandom } from "../core/random.ts";
import { RemoteMixer } from "../proxy/mixer-client/mixer-client.ts";
import type { MixerAnswer, MixerQuota } from "../proxy/policy/mixer-seat.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { freePorts } from "../testing/free-port.ts";
import { proxyRuntime } from "../testing/mixer-set-up.ts";
import { startRedis } from "../testing/redis-server.ts";
import { cpuMicros } from "./measure.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "5" } },
});
const seconds = Number(values.seconds);
const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
const binary = join(import.meta.dir, "..", "..", "dist", "mesh");
const ended: (() => void | Promise<void>)[] = [];

const LIMIT = 500;

const listRule = `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: known-versions, namespace: istio-system }
spec:
  match: (context.reporter.kind | "inbound") == "inbound" && request.method == "GET"
  actions:
  - handler: { compiledAdapter: listchecker, params: { overrides: [v1, v2] } }
    instances:
    - { compiledTemplate: listentry, params: { value: 'request.headers["x-version"] | "v1"' } }
`;

const sharedRule = (redis: number): string => `
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: redis, namespace: istio-system }
spec:
  compiledAdapter: redisquota
  params:
    redisServerUrl: 127.0.0.1:${redis}
    quotas: [{ name: calls.instance.istio-system, maxAmount: ${LIMIT}, validDuration: 1s }]
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: calls, namespace: istio-system }
spec: { compiledTemplate: quota, params: { dimensions: { to: destination.service.host | "all" } } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: limit, namespace: istio-system }
spec: { actions: [{ handler: redis, instances: [calls] }] }
`;

interface Running {
  readonly port: number;
  readonly pid: number;
}

async function startMixer(rules: string): Promise<Running> {
  const [port = 0, monitor = 0] = freePorts(2);
  const file = join(directory, `${port}.yaml`);
  writeFileSync(file, rules);
  const child = Bun.spawn(
    [
      ...[binary, "mixer", "-f", file, "--listen", `127.0.0.1:${port}`],
      ...["--metrics", `127.0.0.1:${monitor}`, "--log-level", "warn", "--admin", "off"],
    ],
    { stdout: "ignore", stderr: "inherit" },
  );
  ended.push(async () => {
    child.kill();
    await child.exited;
  });
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${monitor}/ready`).catch(() => undefined);
    if (ready?.status === 200) return { port, pid: child.pid };
    await Bun.sleep(20);
  }
}

const text = (value: string): WireValue => ({ type: "STRING", value });

const request: readonly (readonly [string, WireValue])[] = [
  ["context.reporter.kind", text("inbound")],
  ["destination.service.host", text("reviews.default.svc.cluster.local")],
  ["source.principal", text("cluster.local/ns/default/sa/productpage")],
  ["request.method", text("GET")],
  ["request.path", text("/api/v1/reviews/0?full=1")],
  [
    "request.headers",
    {
      type: "STRING_MAP",
      value: new Map([
        ["x-version", "v2"],
        [":authority", "reviews:9080"],
        ["user-agent", "curl/8.5.0"],
      ]),
    },
  ],
];

async function asked(): Promise<void> {
  const mixer = await startMixer(listRule);
  const client = new GrpcClient({
    ...{ hostname: "127.0.0.1", port: mixer.port, clock: systemClock, random: systemRandom },
    ...{ connectMs: 1_000, callsMax: 1_000, answerBytesMax: 1 << 20 },
  });
  const attributes = encodeAttributes(request);
  const bytes = framed(
    CheckRequestSchema,
    create(CheckRequestSchema, { attributes, globalWordCount: 222, deduplicationId: "bench-1" }),
  );
  const call = (): Promise<CallAnswer> =>
    new Promise((resolve) => {
      const options = { timeoutMs: 5_000, headers: "", onAnswer: resolve };
      client.call(Mixer.method.check, bytes, options);
    });
  const run = async (ms: number): Promise<number> => {
    let calls = 0;
    const endMs = performance.now() + ms;
    const worker = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const answer = await call();
        if (!answer.ok) throw new Error(answer.reason);
        calls++;
      }
    };
    await Promise.all(Array.from({ length: 64 }, worker));
    return calls;
  };
  await run(2_000);
  const [cpu, startMs] = [cpuMicros(mixer.pid), performance.now()];
  const calls = await run(seconds * 1_000);
  const micros = (cpuMicros(mixer.pid) - cpu) / calls;
  const perSecond = (calls * 1_000) / (performance.now() - startMs);
  console.log(
    `asked   ${micros.toFixed(1)} us of the mixer's processor: ` +
      `${Math.round(1e6 / micros)} a second and core (${Math.round(perSecond)} here)`,
  );
  client.close();
}

function remoteMixer(rules: string, port: number) {
  const runtime = proxyRuntime(rules);
  const client = new RemoteMixer({
    ...{ hostname: "127.0.0.1", port, clock: systemClock, random: systemRandom },
    ...{ log: new Log("bench", { level: "error" }), metrics: new Metrics({ seriesMax: 100 }) },
    ...{ timeoutMs: 2_000, retriesMax: 0, cacheMax: 10_000, optimistic: false },
  });
  const { current } = runtime;
  client.follow(current, current.vocabulary);
  ended.push(() => {
    client.close();
    runtime.close();
  });
  const bag = new MutableBag(current.vocabulary);
  for (const [name, value] of request) bag.set(name, value);
  const scope = current.scopeFor(bag);
  const check = (quotas: readonly MixerQuota[] = []): Promise<MixerAnswer> =>
    new Promise((resolve, reject) => {
      const asker = {
        mixerAnswered: resolve,
        mixerFailed: (reason: string) => reject(new Error(reason)),
      };
      const told = client.check(bag, scope, asker, quotas);
      if (told.at === "answered") resolve(told);
    });
  return { client, bag, scope, check };
}

async function known(): Promise<void> {
  const mixer = await startMixer(listRule);
  const { client, bag, scope, check } = remoteMixer(listRule, mixer.port);
  await check();
  // Answers are kept for long once policy has settled.
  await Bun.sleep(5_500);
  await check();
  const asker = { mixerAnswered: () => {}, mixerFailed: () => {} };
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 200; round++) {
    const startMs = performance.now();
    let hits = 0;
    for (let i = 0; i < 900; i++) if (client.check(bag, scope, asker).at === "answered") hits++;
    const ms = performance.now() - startMs;
    if (hits === 900) best = Math.min(best, (ms * 1e6) / hits);
    // An answer is good for 10,000 uses, and then asked for again.
    else await Bun.sleep(50);
    await check();
  }
  console.log(`known   ${best.toFixed(0)} ns`);
}

async function shared(): Promise<void> {
  const redis = await startRedis();
  ended.push(() => redis.stop());
  const rules = sharedRule(redis.port);
  const mixers = [await startMixer(rules), await startMixer(rules)];
  const proxies = [0, 0, 1].map((i) => remoteMixer(rules, mixers[i]!.port));
  const quotas = [{ quota: "calls", amount: 1 }];
  const windows = new Map<number, number>();
  const startMs = performance.now();
  const endMs = startMs + seconds * 1_000;
  let [passed, tried] = [0, 0];
  const worker = async ({ check }: (typeof proxies)[number]): Promise<void> => {
    while (performance.now() < endMs) {
      tried++;
      const { code } = await check(quotas);
      if (code === 0) {
        passed++;
        const window = Math.floor((performance.now() - startMs) / 1_000);
        windows.set(window, (windows.get(window) ?? 0) + 1);
      }
      await Bun.sleep(2);
    }
  };
  await Promise.all(proxies.flatMap((one) => Array.from({ length: 4 }, () => worker(one))));
  const right = LIMIT * seconds;
  console.log(
    `shared  ${passed} of ${tried} passed in ${seconds} s, where ${right} may: ` +
      `${(((passed - right) / right) * 100).toFixed(2)} %, fetched ahead`,
  );
}

try {
  for (const [name, run] of Object.entries({ known, asked, shared }))
    if (positionals.length === 0 || positionals.includes(name)) await run();
} finally {
  for (const end of ended.reverse()) await end();
  rmSync(directory, { recursive: true });
}
