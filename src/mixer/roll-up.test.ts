/** What proxies counted, told over real sockets and added up. */
import { afterEach, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MetricSeries, SeriesBudget } from "../adapter/metric-series.ts";
import {
  PushedFamily_Type as FamilyType,
  type MetricPush,
  type MetricPushed,
  MetricPushSchema,
  MetricService,
} from "../api/gen/mesh/v1/metric_pb.ts";
import { serveUnary } from "../api/serve-unary.ts";
import { type UnaryMethod, unaryMethod } from "../api/unary-method.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { seededRandom } from "../core/random.ts";
import { Exposition } from "../policy/exposition.ts";
import { MetricPusher } from "../proxy/mixer-client/metric-push.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { renderPrometheus } from "../telemetry/prometheus.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { RollUp } from "./roll-up.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function until(condition: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > untilMs) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The counting half of a mixer, on virtual time. */
class MixerSide {
  readonly clock = new VirtualClock();
  readonly metrics = new Metrics();
  readonly exposition = new Exposition();
  readonly rollUp: RollUp;

  constructor(seriesMax = 100) {
    const { clock, metrics, exposition } = this;
    this.rollUp = new RollUp({ clock, metrics, exposition, expiryMs: 600_000, seriesMax });
  }

  get text(): string[] {
    return this.exposition
      .text()
      .split("\n")
      .filter((line) => !/^(#|$)/.test(line));
  }

  figure(series: string): number {
    const line = renderPrometheus([this.metrics])
      .split("\n")
      .find((one) => one.startsWith(`${series} `));
    return Number(line?.split(" ").at(-1));
  }

  push(push: MessageInitShape<typeof MetricPushSchema>): MetricPushed {
    return this.rollUp.push(
      create(MetricPushSchema, { node: "n", epoch: "e", sequence: 1, ...push }),
    );
  }

  async serve(answer = (push: MetricPush) => this.answer(push)): Promise<number> {
    const methods: UnaryMethod[] = [unaryMethod(MetricService.method.push, answer)];
    const server = await serveUnary({
      ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, methods, callsMax: 100 },
      ...{ messageBytesMax: 1 << 20, heldBytesMax: 4 << 20 },
      fetch: () => new Response(null, { status: 404 }),
    });
    closing.push(() => server.close());
    return server.port;
  }

  async answer(push: MetricPush): Promise<MetricPushed> {
    return this.rollUp.push(push);
  }
}

const definition = (name: string, kind: "COUNTER" | "GAUGE" | "DISTRIBUTION") => ({
  ...{ name, help: "of a rule", kind, labelNames: ["path"], bounds: [1, 10] },
});

/** One run of a proxy, with a counter, a gauge and a distribution. */
class ProxySide {
  readonly exposition = new Exposition();
  readonly metrics = new Metrics();
  readonly pusher: MetricPusher;
  readonly withdraw: () => void;
  readonly #families = new Map<string, MetricSeries>();

  constructor(node: string, port: number, timeoutMs = 5_000) {
    const budget = new SeriesBudget(10_000);
    for (const kind of ["COUNTER", "GAUGE", "DISTRIBUTION"] as const)
      this.#families.set(kind, new MetricSeries(definition(kind.toLowerCase(), kind), budget));
    const all = [...this.#families.values()];
    const { exposition, metrics } = this;
    this.withdraw = exposition.add(
      () => all.map((one) => one.family()),
      () => all.map((one) => one.measured()),
    );
    this.pusher = new MetricPusher({
      ...{ hostname: "127.0.0.1", port, timeoutMs, clock: systemClock, random: seededRandom(1) },
      ...{ log: new Log("proxy", { level: "error" }, () => {}), metrics, exposition },
      node: () => node,
    });
    closing.push(() => this.pusher.close());
  }

  count(kind: "COUNTER" | "GAUGE" | "DISTRIBUTION", path: string, value: number): void {
    this.#families.get(kind)!.record([path], value, systemClock.nowMs());
  }

  get told(): number {
    const text = renderPrometheus([this.metrics]);
    return Number(/^mesh_mixer_series_pushed_total (\d+)/m.exec(text)?.[1] ?? 0);
  }

  async push(): Promise<void> {
    const before = this.told;
    this.pusher.push();
    await until(() => this.told > before, "a push is answered");
  }
}

test("what two proxies count is added up; a gauge is the sum of what each said last", async () => {
  const mixer = new MixerSide();
  const port = await mixer.serve();
  const [one, other] = [new ProxySide("one", port), new ProxySide("other", port)];
  one.count("COUNTER", "/", 2);
  one.count("GAUGE", "/", 7);
  one.count("DISTRIBUTION", "/", 0.5);
  await one.push();
  other.count("COUNTER", "/", 3);
  other.count("COUNTER", "/b", 1);
  other.count("GAUGE", "/", 5);
  other.count("DISTRIBUTION", "/", 100);
  await other.push();
  one.count("COUNTER", "/", 10);
  one.count("GAUGE", "/", 1);
  await one.push();
  expect(mixer.text).toEqual([
    'counter{path="/"} 15',
    'counter{path="/b"} 1',
    'distribution_bucket{path="/",le="1"} 1',
    'distribution_bucket{path="/",le="10"} 1',
    'distribution_bucket{path="/",le="+Inf"} 2',
    'distribution_sum{path="/"} 100.5',
    'distribution_count{path="/"} 2',
    'gauge{path="/"} 6',
  ]);
  expect(one.told).toBe(5);
});

test("a push whose answer was lost is sent again and counted once", async () => {
  const mixer = new MixerSide();
  let isLost = false;
  const port = await mixer.serve(async (push) => {
    const answer = await mixer.answer(push);
    // The first that has series: before it there is one that only greets.
    if (isLost || push.families.length === 0) return answer;
    isLost = true;
    return await new Promise(() => {});
  });
  const proxy = new ProxySide("one", port, 100);
  proxy.count("COUNTER", "/", 2);
  proxy.pusher.push();
  await until(() => isLost, "the first is counted");
  proxy.count("COUNTER", "/", 5);
  await until(() => {
    proxy.pusher.push();
    return proxy.told >= 2;
  }, "both are answered");
  expect(mixer.text).toEqual(['counter{path="/"} 7']);
  expect(mixer.figure("mixer_rollup_repeated_total")).toBeGreaterThan(0);
});

test("of several mixers behind one address one counts a push whose answer was lost", async () => {
  const mixers = [new MixerSide(), new MixerSide()] as const;
  let asked: MixerSide = mixers[0];
  const port = await asked.serve(async (push) => {
    const answer = asked.rollUp.push(push);
    if (asked === mixers[1] || push.families.length === 0) return answer;
    // It counted, and from here on the other one answers at its address.
    asked = mixers[1];
    return await new Promise(() => {});
  });
  const proxy = new ProxySide("one", port, 100);
  proxy.count("COUNTER", "/", 2);
  proxy.count("GAUGE", "/", 7);
  proxy.pusher.push();
  await until(() => asked === mixers[1], "the first is counted");
  proxy.count("COUNTER", "/", 5);
  await until(() => {
    proxy.pusher.push();
    return proxy.told >= 2;
  }, "both are answered");
  expect(mixers.map(({ text }) => text)).toEqual([
    ['counter{path="/"} 2', 'gauge{path="/"} 7'],
    ['counter{path="/"} 5', 'gauge{path="/"} 7'],
  ]);
  expect(mixers[1].figure('mixer_rollup_dropped_total{reason="told-elsewhere"}')).toBe(1);
});

test("a proxy that starts again counts from nothing, and the sum goes on", async () => {
  const mixer = new MixerSide();
  const port = await mixer.serve();
  for (const count of [4, 3]) {
    const run = new ProxySide("one", port);
    run.count("COUNTER", "/", count);
    run.count("GAUGE", "/", count);
    await run.push();
    await run.pusher.close();
  }
  expect(mixer.text).toEqual(['counter{path="/"} 7', 'gauge{path="/"} 3']);
});

test("at the end all is told that was not yet, of handlers that are gone as well", async () => {
  const mixer = new MixerSide(10_000);
  let pushes = 0;
  const port = await mixer.serve(async (push) => {
    pushes++;
    return await mixer.answer(push);
  });
  const proxy = new ProxySide("one", port);
  for (let i = 0; i < 1_200; i++) proxy.count("COUNTER", `/${i}`, 1);
  proxy.withdraw();
  await proxy.pusher.close();
  expect([mixer.text.length, pushes]).toEqual([1_200, 4]);
});

test("many series are told in portions, each once", async () => {
  const mixer = new MixerSide(10_000);
  const proxy = new ProxySide("one", await mixer.serve());
  for (let i = 0; i < 1_200; i++) proxy.count("COUNTER", `/${i}`, 1);
  proxy.pusher.push();
  await until(() => proxy.told === 1_200, "all are answered");
  expect(mixer.text).toHaveLength(1_200);
});

const counter = (value: number, path = "/", name = "requests") => ({
  ...{ name, type: FamilyType.COUNTER, labelNames: ["path"] },
  series: [{ values: [path], value }],
});
const gauge = (value: number, path = "/") => ({
  ...counter(value, path, "level"),
  type: FamilyType.GAUGE,
});

test("a series that nobody tells of for ten minutes is gone, and begins anew", () => {
  const mixer = new MixerSide();
  mixer.push({ families: [counter(1), gauge(4)] });
  mixer.push({ node: "m", families: [gauge(5)] });
  mixer.clock.advance(300_000);
  mixer.push({ sequence: 2, families: [counter(1, "/b"), gauge(6)] });
  expect(mixer.text).toEqual([
    'level{path="/"} 11',
    'requests{path="/"} 1',
    'requests{path="/b"} 1',
  ]);
  mixer.clock.advance(300_000);
  expect(mixer.text).toEqual(['level{path="/"} 6', 'requests{path="/b"} 1']);
  mixer.push({ sequence: 3, families: [counter(2)] });
  mixer.clock.advance(300_000);
  expect(mixer.text).toEqual(['requests{path="/"} 2']);
  mixer.clock.advance(300_000);
  expect([mixer.text, mixer.figure("mixer_rollup_series")]).toEqual([[], 0]);
});

test("above the cap new series count together, new gauges not at all; both are told", () => {
  const mixer = new MixerSide(2);
  const families = [counter(1, "/a"), gauge(9), counter(1, "/c"), counter(2, "/d"), gauge(1, "/b")];
  expect(mixer.push({ families }).dropped).toBe(1);
  expect(mixer.text).toEqual([
    'level{path="/"} 9',
    'requests{overflow="true"} 3',
    'requests{path="/a"} 1',
  ]);
  expect(mixer.figure("mixer_rollup_overflow_total")).toBe(2);
  expect(mixer.figure('mixer_rollup_dropped_total{reason="too-many"}')).toBe(1);
  mixer.push({ sequence: 2, families: [gauge(3), counter(1, "/a")] });
  expect(mixer.text.filter((line) => !line.includes("overflow"))).toEqual([
    'level{path="/"} 3',
    'requests{path="/a"} 2',
  ]);
});

test("what this mixer counted itself is in the sum", () => {
  const mixer = new MixerSide();
  const own = new MetricSeries(
    { ...definition("requests", "COUNTER"), bounds: [] },
    new SeriesBudget(10),
  );
  mixer.exposition.add(
    () => [own.family()],
    () => [own.measured()],
  );
  own.record(["/"], 10, 0);
  own.record(["/own"], 1, 0);
  mixer.push({ families: [counter(5), counter(1, "/b")] });
  expect(mixer.text).toEqual([
    'requests{path="/"} 15',
    'requests{path="/b"} 1',
    'requests{path="/own"} 1',
  ]);
  mixer.push({ epoch: "f", families: [{ ...counter(5), type: FamilyType.GAUGE }] });
  expect(mixer.exposition.text()).toContain("# TYPE requests counter");
});

test("what is malformed is dropped and counted, and hinders nothing else", () => {
  const histogram = { ...counter(1), type: FamilyType.HISTOGRAM };
  const rows = [
    { ...counter(1), name: "a b" },
    { ...counter(1), name: "mixer_calls_total" },
    { ...counter(1), type: 9 as FamilyType },
    { ...counter(1), type: FamilyType.UNSPECIFIED },
    { ...counter(1), labelNames: ["le"] },
    { ...counter(1), labelNames: ["b", "a"], series: [{ values: ["1", "2"], value: 1 }] },
    { ...counter(1), labelNames: ["a", "a"], series: [{ values: ["1", "2"], value: 1 }] },
    { ...counter(1), labelNames: [] },
    { ...counter(1), bounds: [1] },
    counter(Number.NaN),
    counter(1, "x".repeat(5_000)),
    { ...histogram, bounds: [2, 1], series: [{ values: ["/"], counts: [1, 1, 1] }] },
    { ...histogram, bounds: [Infinity], series: [{ values: ["/"], counts: [1, 1] }] },
    { ...histogram, bounds: [1], series: [{ values: ["/"], counts: [1] }] },
    { ...counter(1), series: [{ values: ["/"], value: 1, counts: [1] }] },
    { ...counter(1), series: [{ values: ["/"], value: 1, overflow: true }] },
  ];
  for (const row of rows) {
    const mixer = new MixerSide();
    const { dropped } = mixer.push({ families: [row, counter(1, "/good")] });
    expect([row, dropped, mixer.text]).toEqual([row, 1, ['requests{path="/good"} 1']]);
  }
  for (const wrong of [{ node: "" }, { epoch: "" }, { sequence: 0 }, { node: "n".repeat(600) }])
    expect(() => new MixerSide().push(wrong)).toThrow("a node, an epoch and a number");
});
