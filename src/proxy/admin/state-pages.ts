/** Pages that show how the proxy is doing: readiness, metrics, who it is. */
import { json, text } from "../../api/admin-page.ts";
import { PROMETHEUS_CONTENT_TYPE } from "../../telemetry/prometheus.ts";
import { lineFilter } from "./line-filter.ts";
import type { Page } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";

export const statePages: readonly Page[] = [
  {
    path: "/ready",
    method: "GET",
    about: "200 when it takes traffic, else 503 and why not",
    answer: ready,
  },
  {
    path: "/stats",
    method: "GET",
    about: "counters and gauges, one a line (?filter=REGEX&usedonly)",
    answer: stats,
  },
  {
    path: "/stats/prometheus",
    method: "GET",
    about: "the same in the Prometheus text format (?own: without what rules define)",
    answer: async (view, query) =>
      new Response(await view.metrics(query.has("own")), {
        headers: { "content-type": PROMETHEUS_CONTENT_TYPE },
      }),
  },
  {
    path: "/server_info",
    method: "GET",
    about: "version, state, uptime, memory, and which workload this is",
    answer: serverInfo,
  },
];

export function ready(view: ProxyView): Response {
  const { ready: isReady, reason } = view.readiness();
  return text(reason, isReady ? 200 : 503);
}

async function stats(view: ProxyView, query: URLSearchParams): Promise<Response> {
  const isShown = lineFilter(query);
  if (typeof isShown === "string") return text(isShown, 400);
  const metrics = await view.metrics(false);
  const lines = metrics
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.replace(/ (\S+)$/, ": $1"))
    .filter((line) => isShown(line) && !(query.has("usedonly") && line.endsWith(": 0")));
  return text(lines.join("\n"));
}

function serverInfo(view: ProxyView): Response {
  const { rss, heapUsed } = process.memoryUsage();
  return json({
    version: view.node.version,
    state: view.readiness().ready ? "LIVE" : view.readiness().reason,
    uptimeSeconds: Math.floor(view.uptimeMs() / 1000),
    startedAt: new Date(view.startedMs).toISOString(),
    pid: process.pid,
    node: view.node,
    listeners: view.listeners(),
    configVersion: view.config()?.version ?? "",
    configSource: view.configSource(),
    memory: { residentBytes: rss, heapBytes: heapUsed },
  });
}
