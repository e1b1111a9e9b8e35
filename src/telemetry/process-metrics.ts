/**
 * Gauges of the process itself, under the names that Prometheus clients agree on, brought up to
 * date at each scrape; and how late the event loop runs, which is measured all the time, since a
 * scrape would only see its own moment.
 */
import { readdirSync } from "node:fs";
import type { Clock } from "../core/clock.ts";
import type { Metrics } from "./metrics.ts";

const LAG_SAMPLE_MS = 500;

export interface ProcessMetrics {
  /** Ends the measuring of the event loop. */
  stop(): void;
}

export function addProcessMetrics(metrics: Metrics, clock: Clock): ProcessMetrics {
  const cpu = metrics.counter(
    "process_cpu_seconds_total",
    "User and system processor time of the process.",
  );
  const memory = metrics.gauge("process_resident_memory_bytes", "Memory in RAM.");
  const heap = metrics.gauge("process_heap_bytes", "Memory of JavaScript objects.");
  const descriptors = metrics.gauge("process_open_fds", "Open file descriptors.");
  const start = metrics.gauge(
    "process_start_time_seconds",
    "When the process started, in seconds since 1970.",
  );
  start.set(clock.wallMs() / 1_000 - process.uptime());
  metrics.beforeScrape(() => {
    const { user, system } = process.cpuUsage();
    cpu.add((user + system) / 1e6 - cpu.value);
    const { rss, heapUsed } = process.memoryUsage();
    memory.set(rss);
    heap.set(heapUsed);
    descriptors.set(countDescriptors());
  });
  const worst = metrics.gauge(
    "process_event_loop_lag_max_milliseconds",
    "The latest timer since the last scrape.",
  );
  let latest = 0;
  metrics.beforeScrape(() => {
    worst.set(latest);
    latest = 0;
  });
  return addLagMetrics(metrics, clock, (late) => {
    latest = Math.max(latest, late);
  });
}

/** Of this thread; a process's other threads are asked by nobody, and have no maximum. */
export function addLagMetrics(
  metrics: Metrics,
  clock: Clock,
  onLate: (late: number) => void = () => {},
): ProcessMetrics {
  const lag = metrics.histogram(
    "process_event_loop_lag_milliseconds",
    "How late a timer ran, sampled twice a second.",
  );
  let cancel: () => void = () => {};
  const sample = (): void => {
    const dueMs = clock.nowMs() + LAG_SAMPLE_MS;
    cancel = clock.after(LAG_SAMPLE_MS, () => {
      const late = Math.max(0, clock.nowMs() - dueMs);
      onLate(late);
      lag.observe(late);
      sample();
    });
  };
  sample();
  return { stop: () => cancel() };
}

/** NaN where the system does not tell. */
function countDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return Number.NaN;
  }
}
