/**
 * The port that is asked about the mixer: its own metrics, with those that operators define over
 * all that the mesh reports to it; whether callers may come; what it is.
 */
import type { FetchHandler } from "../api/fetch-handler.ts";
import { MESH_VERSION } from "../core/version.ts";
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from "../telemetry/prometheus.ts";
import type { Mixer } from "./mixer.ts";

export function monitorFetch(mixer: Mixer): FetchHandler {
  return (request) => {
    switch (new URL(request.url).pathname) {
      case "/metrics":
      case "/stats/prometheus":
        return new Response(`${renderPrometheus([mixer.metrics])}${mixer.exposition.text()}`, {
          headers: { "content-type": PROMETHEUS_CONTENT_TYPE },
        });
      case "/ready":
        return mixer.isReady
          ? new Response("ready\n")
          : new Response("there is no policy yet\n", { status: 503 });
      case "/healthz":
        return new Response("ok\n");
      case "/version":
        return new Response(`${MESH_VERSION}\n`);
      default:
        return new Response("see /metrics, /ready and /version\n", { status: 404 });
    }
  };
}
