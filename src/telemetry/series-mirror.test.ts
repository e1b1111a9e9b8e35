/** Several threads count, one of them is scraped: names are told, values are shared. */
import { expect, test } from "bun:test";
import { Metrics, type SeriesChange } from "./metrics.ts";
import { renderPrometheus } from "./prometheus.ts";
import { SeriesMirror } from "./series-mirror.ts";

/** A registry, and its mirror elsewhere; `tell` brings the news over, as a message would. */
function mirrored() {
  const news: SeriesChange[] = [];
  const metrics = new Metrics({ seriesMax: 100, onSeries: (change) => news.push(change) });
  const mirror = new SeriesMirror(metrics.values.buffer as SharedArrayBuffer);
  const tell = (): void => {
    const changes = structuredClone(news.splice(0));
    for (const { kind, slot } of mirror.apply(changes)) metrics.forgotten(kind, slot);
  };
  return { metrics, mirror, tell };
}

/** The samples of a scrape, without descriptions. */
function samples(...registries: Parameters<typeof renderPrometheus>[0]): string[] {
  const ignored = /^#|^mesh_metric_series_refused_total/;
  return renderPrometheus(registries)
    .split("\n")
    .filter((line) => line !== "" && !ignored.test(line));
}

test("a mirror shows what its registry shows, of every kind", () => {
  const { metrics, mirror, tell } = mirrored();
  metrics.counter("c", "C.", { a: "x" }).add(3);
  metrics.counter("c", "C.", { a: "y" }).add(4);
  metrics.gauge("g", "G.").set(-1);
  metrics.histogram("h", "H.").observe(7);
  tell();
  expect(renderPrometheus([mirror.view()])).toBe(renderPrometheus([metrics]));
  expect(samples(mirror.view())).toContain('c{a="y"} 4');
});

test("what is counted after the news is seen without more news", () => {
  const { metrics, mirror, tell } = mirrored();
  const counter = metrics.counter("c", "C.");
  tell();
  for (let i = 0; i < 1_000; i++) counter.increment();
  expect(samples(mirror.view())).toEqual(["c 1000"]);
});

test("a series that is gone is gone from the mirror, and its family with the last one", () => {
  const { metrics, mirror, tell } = mirrored();
  const [one, two] = [metrics.scope(), metrics.scope()];
  one.counter("c", "C.", { a: "x" });
  two.counter("c", "C.", { a: "y" });
  tell();
  one.retire();
  tell();
  expect(samples(mirror.view())).toEqual(['c{a="y"} 0']);
  two.retire();
  tell();
  expect(mirror.view().families.map(({ name }) => name)).not.toContain("c");
});

test.each(["counter", "histogram"] as const)(
  "a slot of a %s is used again only after the mirror has heard: it never shows another's value",
  (kind) => {
    const { metrics, mirror, tell } = mirrored();
    const former = metrics.scope();
    const { slot } = former[kind]("former", "F.");
    tell();
    former.retire();
    expect(metrics[kind]("next", "N.").slot).not.toBe(slot);
    tell();
    expect(metrics[kind]("later", "L.").slot).toBe(slot);
    tell();
    expect(mirror.view().families.map(({ name }) => name)).not.toContain("former");
  },
);

test("a series made and gone between two messages leaves nothing", () => {
  const { metrics, mirror, tell } = mirrored();
  const scope = metrics.scope();
  scope.counter("c", "C.");
  scope.retire();
  metrics.counter("c", "C.").add(2);
  tell();
  expect(samples(mirror.view())).toEqual(["c 2"]);
});

test("series that come and go for ever need no more memory than there is", () => {
  const { metrics, tell } = mirrored();
  for (let i = 0; i < 10_000; i++) {
    const scope = metrics.scope();
    scope.counter("c", "C.", { i: String(i) });
    scope.histogram("h", "H.", { i: String(i) });
    scope.retire();
    if (i % 20 === 0) tell();
  }
  expect(metrics.seriesCount).toBe(1);
});

test("threads together: load is added up, what all of them see alike is not", () => {
  const threads = [mirrored(), mirrored(), mirrored()];
  threads.forEach(({ metrics, tell }, i) => {
    metrics.counter("requests", "R.").add(10 ** i);
    metrics.gauge("active", "A.").set(i + 1);
    metrics.gauge("members", "M.", {}, "max").set(5);
    metrics.gauge("healthy", "H.", {}, "min").set(5 - i);
    metrics.histogram("ms", "T.").observe(i);
    tell();
  });
  const own = new Metrics();
  own.gauge("ready", "R.").set(1);
  const all = samples(own, ...threads.map(({ mirror }) => mirror.view()));
  for (const line of ["requests 111", "active 6", "members 5", "healthy 3", "ready 1"])
    expect(all).toContain(line);
  expect(all).toContain("ms_count 3");
  expect(all).toContain("ms_sum 3");
  expect(all).toContain('ms_bucket{le="1"} 2');
});

test("a thread that has not met a series does not count as a zero", () => {
  const [one, two] = [mirrored(), mirrored()];
  one.metrics.gauge("healthy", "H.", {}, "min").set(4);
  for (const { tell } of [one, two]) tell();
  expect(samples(one.mirror.view(), two.mirror.view())).toEqual(["healthy 4"]);
});
