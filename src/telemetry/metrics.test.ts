/** Counters as a scrape sees them, read back by a parser of the text format that is not ours. */
import { expect, test } from "bun:test";
import { BUCKETS_MS, bucketOf } from "./histogram.ts";
import { Metrics } from "./metrics.ts";
import { renderPrometheus } from "./prometheus.ts";

interface Sample {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

interface Parsed {
  readonly types: Map<string, string>;
  readonly help: Map<string, string>;
  readonly samples: Sample[];
}

/** Strict: a sample follows the TYPE of its family, a family comes once, no line is unknown. */
function parse(text: string): Parsed {
  const parsed: Parsed = { types: new Map(), help: new Map(), samples: [] };
  expect(text.endsWith("\n")).toBe(true);
  let family = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line);
    if (comment !== null) {
      const [, what, name = "", rest = ""] = comment;
      const map = what === "HELP" ? parsed.help : parsed.types;
      expect(map.has(name)).toBe(false);
      map.set(name, rest);
      family = name;
      continue;
    }
    const sample = parseSample(line);
    expect(sample.name.replace(/_(bucket|sum|count)$/, "")).toBe(
      parsed.types.get(family) === "histogram" ? family : sample.name,
    );
    parsed.samples.push(sample);
  }
  return parsed;
}

function parseSample(line: string): Sample {
  const name = /^[a-zA-Z_:][\w:]*/.exec(line)?.[0] ?? "";
  let at = name.length;
  const labels: Record<string, string> = {};
  if (line[at] === "{") {
    at++;
    while (line[at] !== "}") {
      const label = /^([a-zA-Z_]\w*)="((?:[^"\\]|\\[\\"n])*)"/.exec(line.slice(at));
      if (label === null) throw new Error(`not a label at ${at}: ${line}`);
      labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
      at += label[0].length;
      if (line[at] === ",") at++;
    }
    at++;
  }
  const value = /^ (\S+)$/.exec(line.slice(at))?.[1];
  if (value === undefined) throw new Error(`not a sample: ${line}`);
  return { name, labels, value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value) };
}

function sampleOf(text: string, name: string, labels: Record<string, string> = {}): number {
  const wanted = JSON.stringify(Object.entries(labels).sort());
  const found = parse(text).samples.filter(
    (s) => s.name === name && JSON.stringify(Object.entries(s.labels).sort()) === wanted,
  );
  expect(found.length).toBe(1);
  return found[0]!.value;
}

test("counters and gauges appear with help, type and labels, whatever the labels contain", () => {
  const metrics = new Metrics();
  const hostile = 'a "quoted" \\ back\nslash {x="y"} 5';
  metrics.counter("requests_total", "Requests,\nall \\ of them.", { path: hostile }).add(7);
  metrics.counter("requests_total", "ignored", { path: "/" }).increment();
  const gauge = metrics.gauge("open", "Open now.");
  gauge.set(4);
  gauge.decrement();
  const text = renderPrometheus([metrics]);
  expect(parse(text).types.get("requests_total")).toBe("counter");
  expect(parse(text).types.get("open")).toBe("gauge");
  expect(parse(text).help.get("requests_total")).toBe("Requests,\\nall \\\\ of them.");
  expect(sampleOf(text, "requests_total", { path: hostile })).toBe(7);
  expect(sampleOf(text, "requests_total", { path: "/" })).toBe(1);
  expect(sampleOf(text, "open")).toBe(3);
});

test("a histogram is cumulative, ends in +Inf, and its count and sum agree", () => {
  const metrics = new Metrics();
  const histogram = metrics.histogram("duration_ms", "How long.", { app: "a" });
  const values = [0, 0.5, 0.51, 1, 3, 25, 26, 3_600_000, 3_600_001, 1e12];
  for (const value of values) histogram.observe(value);
  const text = renderPrometheus([metrics]);
  for (const bound of BUCKETS_MS)
    expect(sampleOf(text, "duration_ms_bucket", { app: "a", le: String(bound) })).toBe(
      values.filter((value) => value <= bound).length,
    );
  expect(sampleOf(text, "duration_ms_bucket", { app: "a", le: "+Inf" })).toBe(10);
  expect(sampleOf(text, "duration_ms_count", { app: "a" })).toBe(10);
  expect(sampleOf(text, "duration_ms_sum", { app: "a" })).toBe(values.reduce((a, b) => a + b));
});

test("every value falls into the first bucket whose bound is not below it", () => {
  for (let bits = 0; bits < 34; bits++)
    for (const value of [2 ** bits - 1, 2 ** bits - 0.25, 2 ** bits, 2 ** bits + 0.25]) {
      const first = BUCKETS_MS.findIndex((bound) => value <= bound);
      expect(bucketOf(value)).toBe(first === -1 ? BUCKETS_MS.length : first);
    }
  for (const bound of BUCKETS_MS) {
    expect(bucketOf(bound)).toBe(BUCKETS_MS.indexOf(bound));
    expect(bucketOf(bound + 0.001)).toBe(BUCKETS_MS.indexOf(bound) + 1);
  }
});

test("the same name and labels are one series, in whatever order the labels are given", () => {
  const metrics = new Metrics();
  const one = metrics.counter("c", "C.", { a: "1", b: "2" });
  expect(metrics.counter("c", "C.", { b: "2", a: "1" })).toBe(one);
});

test("a series goes when the last snapshot that used it goes, and starts anew at zero", () => {
  const metrics = new Metrics();
  const [first, second] = [metrics.scope(), metrics.scope()];
  first.counter("c", "C.", { route: "kept" }).add(5);
  first.counter("c", "C.", { route: "dropped" }).add(6);
  first.histogram("h", "H.").observe(1);
  second.counter("c", "C.", { route: "kept" }).add(1);
  first.retire();
  const text = renderPrometheus([metrics]);
  expect(sampleOf(text, "c", { route: "kept" })).toBe(6);
  expect(text).not.toContain("dropped");
  expect(text).not.toContain("# TYPE h ");
  const before = metrics.seriesCount;
  const reused = second.counter("c", "C.", { route: "new" });
  expect(reused.value).toBe(0);
  second.histogram("h", "H.").observe(3);
  expect(sampleOf(renderPrometheus([metrics]), "h_count")).toBe(1);
  expect(metrics.seriesCount).toBe(before + 2);
});

test("a series that a snapshot asks for twice goes with it all the same", () => {
  const metrics = new Metrics();
  const scope = metrics.scope();
  scope.counter("c", "C.");
  scope.counter("c", "C.").increment();
  scope.retire();
  expect(renderPrometheus([metrics])).not.toContain("# TYPE c ");
});

test("a thousand reloads with other routes do not use up the slots", () => {
  const metrics = new Metrics({ seriesMax: 60 });
  let scope = metrics.scope();
  for (let reload = 0; reload < 1_000; reload++) {
    const next = metrics.scope();
    for (let route = 0; route < 10; route++) {
      next.counter("c", "C.", { route: `${reload}-${route}` }).increment();
      next.histogram("h", "H.", { route: `${reload}-${route}` }).observe(1);
    }
    scope.retire();
    scope = next;
  }
  expect(metrics.seriesCount).toBe(21);
  expect(sampleOf(renderPrometheus([metrics]), "mesh_metric_series_refused_total")).toBe(0);
});

test("too many series share one, and are counted", () => {
  const metrics = new Metrics({ seriesMax: 10 });
  for (let i = 0; i < 100; i++) metrics.counter("c", "C.", { id: String(i) }).increment();
  const text = renderPrometheus([metrics]);
  expect(sampleOf(text, "c", { id: "8" })).toBe(1);
  expect(sampleOf(text, "c", { overflow: "true" })).toBe(91);
  expect(sampleOf(text, "mesh_metric_series_refused_total")).toBe(91);
});

test("the registries of several threads are summed, and need not know the same series", () => {
  const [one, two] = [new Metrics(), new Metrics()];
  one.counter("a", "A.").add(1);
  two.gauge("only_two", "Shifts the slots.");
  two.counter("a", "A.").add(2);
  two.histogram("h", "H.").observe(7);
  one.histogram("h", "H.").observe(70);
  const text = renderPrometheus([one, structuredClone(two.view())]);
  expect(sampleOf(text, "a")).toBe(3);
  expect(sampleOf(text, "h_sum")).toBe(77);
  expect(sampleOf(text, "h_count")).toBe(2);
});

test("what rules define takes the place of ours of that name, once", () => {
  const metrics = new Metrics();
  metrics.counter("requests_total", "Ours.").add(7);
  metrics.counter("other_total", "Ours.").add(1);
  const family = (line: string, type: "counter" | "gauge" = "counter") => ({
    name: "requests_total",
    help: "Theirs.",
    type,
    series: new Map([['{code="200"}', line]]),
  });
  const theirs = [
    family('requests_total{code="200"} 3'),
    family('requests_total{code="200"} 4'),
    family('requests_total{code="200"} 5', "gauge"),
  ];
  const lines = renderPrometheus([metrics], theirs).split("\n");
  expect(lines.filter((line) => /^(?!# HELP).*(requests|other)_total/.test(line))).toEqual([
    "# TYPE other_total counter",
    "other_total 1",
    "# TYPE requests_total counter",
    'requests_total{code="200"} 3',
  ]);
});

test("what a worker adds after its view was taken is seen without asking it again", async () => {
  const metrics = new Metrics();
  const counter = metrics.counter("c", "C.");
  const view = metrics.view();
  const source = `self.onmessage = ({ data }) => { data.values[data.slot] += 5; postMessage(0); };`;
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  const done = new Promise((resolve) => worker.addEventListener("message", resolve));
  worker.postMessage({ values: metrics.values, slot: counter.slot });
  await done;
  worker.terminate();
  expect(sampleOf(renderPrometheus([view]), "c")).toBe(5);
});

test("gauges are brought up to date before each scrape", () => {
  const metrics = new Metrics();
  const gauge = metrics.gauge("g", "G.");
  let now = 1;
  metrics.beforeScrape(() => gauge.set(now));
  expect(sampleOf(renderPrometheus([metrics]), "g")).toBe(1);
  now = 2;
  expect(sampleOf(renderPrometheus([metrics]), "g")).toBe(2);
});

test("counting allocates nothing and costs nanoseconds", () => {
  const metrics = new Metrics();
  const counter = metrics.counter("c", "C.");
  const histogram = metrics.histogram("h", "H.");
  const rounds = 1_000_000;
  const start = Bun.nanoseconds();
  for (let i = 0; i < rounds; i++) {
    counter.increment();
    histogram.observe(i & 1_023);
  }
  const each = (Bun.nanoseconds() - start) / rounds;
  expect(counter.value).toBe(rounds);
  expect(histogram.count).toBe(rounds);
  expect(each).toBeLessThan(1_000); // 10 to 20 on a quiet machine
  if (process.env.BENCH === "1") console.log(`${each.toFixed(1)} ns for a counter and a histogram`);
});
