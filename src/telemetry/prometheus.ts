/** The Prometheus text format, 0.0.4, of one registry or of several threads' registries summed. */
import type { Metrics } from "./metrics.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function renderPrometheus(_registries: readonly Metrics[]): string {
  return "";
}
