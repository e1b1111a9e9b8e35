/**
 * The account of what one thread holds for peers that do not read, HTTP and TCP together, shown in
 * its metrics. The bound is the process's: threads share it.
 */
import { HeldBytes } from "../../io/held-bytes.ts";
import type { Metrics } from "../../telemetry/metrics.ts";

/** However many threads there are, each may hold so much. */
const BYTES_MIN = 8 << 20;

/** `bytesMax`: of the whole process. */
export function unreadBytes(metrics: Metrics, bytesMax: number, threads = 1): HeldBytes {
  return new HeldBytes(Math.max(BYTES_MIN, Math.floor(bytesMax / threads)), {
    held: metrics.gauge("mesh_unread_bytes", "Memory held for peers that do not take their bytes."),
    shed: metrics.counter(
      "mesh_unread_shed_total",
      "Connections and streams given up since too much was held for peers that do not read.",
    ),
  });
}
