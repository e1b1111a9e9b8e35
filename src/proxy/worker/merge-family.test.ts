/** What adapters of several threads count, as one scrape sees it. */
import { expect, test } from "bun:test";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus, type TextFamily } from "../../telemetry/prometheus.ts";
import { mergeFamilies } from "./merge-family.ts";

const counter = (series: Readonly<Record<string, string>>, name = "istio_calls"): TextFamily => ({
  name,
  help: "Calls.",
  type: "counter",
  series: new Map(Object.entries(series)),
});

test("counts of the same labels are added, others stand beside each other", () => {
  const merged = mergeFamilies([
    [counter({ '{code="200"}': 'istio_calls{code="200"} 3', "": "istio_calls 1" })],
    [
      counter({
        '{code="200"}': 'istio_calls{code="200"} 4',
        '{code="500"}': 'istio_calls{code="500"} 1',
      }),
    ],
    [],
  ]);
  expect(renderPrometheus([], merged)).toBe(
    "# HELP istio_calls Calls.\n# TYPE istio_calls counter\n" +
      'istio_calls 1\nistio_calls{code="200"} 7\nistio_calls{code="500"} 1\n',
  );
});

test("buckets are added line by line", () => {
  const lines = (n: number) =>
    `h_bucket{a="x y",le="1"} ${n}\nh_bucket{a="x y",le="+Inf"} ${n + 1}\nh_sum{a="x y"} ${n / 2}`;
  const histogram = (n: number): TextFamily => ({
    ...{ name: "h", help: "H.", type: "histogram" },
    series: new Map([['{a="x y"}', lines(n)]]),
  });
  const [merged] = mergeFamilies([[histogram(1)], [histogram(2)]]);
  expect(merged?.series.get('{a="x y"}')).toBe(
    'h_bucket{a="x y",le="1"} 3\nh_bucket{a="x y",le="+Inf"} 5\nh_sum{a="x y"} 1.5',
  );
});

test("a family of another type under the same name is left out, and our own makes room", () => {
  const metrics = new Metrics();
  metrics.counter("istio_calls", "Ours.", { code: "200" }).add(5);
  const gauge: TextFamily = { ...counter({ "": "istio_calls 9" }), type: "gauge" };
  const theirs = counter({
    '{code="200"}': 'istio_calls{code="200"} 1',
    '{code="404"}': 'istio_calls{code="404"} 2',
  });
  expect(renderPrometheus([metrics], [theirs, gauge])).toStartWith(
    "# HELP istio_calls Calls.\n# TYPE istio_calls counter\n" +
      'istio_calls{code="200"} 1\nistio_calls{code="404"} 2\n# HELP mesh_metric',
  );
});
