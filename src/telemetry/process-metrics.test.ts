/** What a scrape says of this very process. */
import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { systemClock } from "../core/clock.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { Metrics } from "./metrics.ts";
import { addProcessMetrics } from "./process-metrics.ts";
import { renderPrometheus } from "./prometheus.ts";

function read(metrics: Metrics, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(renderPrometheus([metrics]))?.[1]);
}

test("memory, processor time, descriptors and start are those of the process, now", () => {
  const metrics = new Metrics();
  const process_ = addProcessMetrics(metrics, systemClock);
  const before = read(metrics, "process_open_fds");
  const opened = Array.from({ length: 5 }, () => openSync("/dev/null", "r"));
  expect(read(metrics, "process_open_fds")).toBe(before + 5);
  for (const fd of opened) closeSync(fd);
  expect(read(metrics, "process_resident_memory_bytes") / process.memoryUsage().rss).toBeWithin(
    0.5,
    2,
  );
  const cpu = read(metrics, "process_cpu_seconds_total");
  expect(cpu).toBeGreaterThan(0);
  expect(read(metrics, "process_cpu_seconds_total")).toBeGreaterThanOrEqual(cpu);
  const uptime = systemClock.wallMs() / 1_000 - read(metrics, "process_start_time_seconds");
  expect(Math.abs(uptime - process.uptime())).toBeLessThan(1);
  process_.stop();
});

test("a stalled event loop shows as lag, also when the scrape comes later", () => {
  const clock = new VirtualClock();
  const metrics = new Metrics();
  const process_ = addProcessMetrics(metrics, clock);
  clock.advance(2_000);
  expect(read(metrics, "process_event_loop_lag_max_milliseconds")).toBe(0);
  clock.stall(700);
  clock.advance(1_000);
  expect(read(metrics, "process_event_loop_lag_max_milliseconds")).toBe(200);
  expect(read(metrics, "process_event_loop_lag_max_milliseconds")).toBe(0);
  expect(read(metrics, "process_event_loop_lag_milliseconds_sum")).toBe(200);
  process_.stop();
  expect(clock.waiting).toBe(0);
});
