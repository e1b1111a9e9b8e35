/** Golden metrics of calls, and their bound. */
import { expect, test } from "bun:test";
import { type FailureName, Failures } from "../../core/failure.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { CallStats } from "./call-stats.ts";

/** What of istio_requests_total differs, and its value. */
function outcomes(metrics: Metrics): string[] {
  return renderPrometheus([metrics])
    .split("\n")
    .filter((line) => line.startsWith("istio_requests_total{"))
    .map((line) =>
      line.replace(
        /^.*\{grpc_response_status="(.*?)",.*_code="(.*?)",.*_flags="(.*?)"\} (\d+)$/,
        "$1 $2 $3 $4",
      ),
    );
}

test("calls are told apart by both statuses and the flag", () => {
  const metrics = new Metrics();
  const stats = new CallStats({ reporter: "source" }, metrics.scope());
  const count = (grpcStatus: number, name?: FailureName): void => {
    const failure = name === undefined ? undefined : Failures[name];
    stats.record({ httpStatus: 200, grpcStatus, failure }, 1);
  };
  count(0);
  count(0);
  count(14);
  count(14, "noUpstream");
  count(-1, "downstreamGone");
  expect(outcomes(metrics)).toEqual([" 200 DC 1", "0 200 - 2", "14 200 - 1", "14 200 UH 1"]);
});

test("however many statuses an upstream invents, their series are bounded", () => {
  const metrics = new Metrics();
  const stats = new CallStats({ reporter: "source" }, metrics.scope());
  for (let status = 100; status < 600; status++)
    stats.record({ httpStatus: status, grpcStatus: -1, failure: undefined }, 1);
  const counted = outcomes(metrics);
  expect(counted.length).toBeLessThan(70);
  expect(counted).toContain(" 5xx - 100");
});
