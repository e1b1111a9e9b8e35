/** Calls by method, and what a caller cannot do to the metrics. */
import { expect, test } from "bun:test";
import { MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { Call } from "./call.ts";
import { CallKind } from "./media-type.ts";
import { METHODS_MAX, MethodStats } from "./method-stats.ts";
import { NO_STATUS } from "./status.ts";

function setUp() {
  const metrics = new Metrics();
  const stats = new MethodStats("svc", metrics.scope());
  /** `status`: of the upstream, or with `ours` of the proxy. */
  const record = (path: string, status: number, ours = false): void => {
    const bytes = Buffer.from(`POST ${path} HTTP/1.1\r\nHost: svc\r\n\r\n`);
    const head = new MessageHead();
    expect(scanRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
    const call = new Call().begin(CallKind.grpc, head);
    if (ours) call.takeReply(status);
    else call.takeStatus(status);
    stats.record(call, bytes);
  };
  /** "service method total", in order. */
  const totals = (): string[] =>
    renderPrometheus([metrics])
      .split("\n")
      .filter((line) => line.startsWith("envoy_cluster_grpc_total{"))
      .map((line) => line.replace(/^.*method="(.*?)",.*service="(.*?)"\} /, "$2 $1 "));
  return { metrics, record, totals };
}

test("a method is known once the upstream has answered it", () => {
  const { record, totals } = setUp();
  record("/a.B/C", 14, true);
  record("/a.B/C", NO_STATUS);
  record("/a.B/C", 12);
  expect(totals()).toEqual(["other other 3"]);
  record("/a.B/C", 0);
  record("/a.B/C", 14, true);
  record("/a.B/C?x=1", 12);
  expect(totals()).toEqual(["a.B C 3", "other other 3"]);
});

test("what is no method has no series of its own", () => {
  const { record, totals } = setUp();
  const long = "x".repeat(200);
  for (const path of ["/", "//", "/a", "/a/", "//b", "/a/b/c", "/a/b/", `/a/${long}`])
    record(path, 0);
  expect(totals()).toEqual(["other other 8"]);
});

test("there are no more methods than a bound, whatever callers ask for", () => {
  const { metrics, record, totals } = setUp();
  for (let i = 0; i < 10 * METHODS_MAX; i++) record(`/a.B/M${i}`, 0);
  expect(totals().length).toBe(METHODS_MAX + 1);
  expect(totals()).toContain(`other other ${9 * METHODS_MAX}`);
  for (let i = 0; i < METHODS_MAX; i++)
    for (let code = 0; code < 17; code++) record(`/a.B/M${i}`, code);
  expect(metrics.seriesCount).toBeLessThan(25 * METHODS_MAX);
  expect(totals()).toContain("a.B M0 18");
});
