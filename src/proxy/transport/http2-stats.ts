/**
 * How HTTP/2 connections and streams came to an early end, by Envoy's names where it has one, and
 * by our reasons for each; and a line in the log for connections that we ended, at most one a
 * second, since the peer decides how often that happens.
 */
import type { Clock } from "../../core/clock.ts";
import { type Failure, type FailureName, Failures } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import type { Counter, Metrics } from "../../telemetry/metrics.ts";

const LOG_EVERY_MS = 1_000;

/** Of one counter: `envoy_<name>`. */
interface Row {
  readonly name: string;
  readonly help: string;
  readonly of: readonly FailureName[];
}

const rows: readonly Row[] = [
  {
    name: "http_downstream_rq_too_many_premature_resets",
    help: "Connections ended for streams reset too often, by the peer or because of it.",
    of: ["rapidReset", "provokedReset"],
  },
  {
    name: "http2_outbound_control_flood",
    help: "Connections ended for frames that each ask for an answer: PING, SETTINGS.",
    of: ["pingFlood", "settingsFlood"],
  },
  {
    name: "http2_inbound_priority_frames_flood",
    help: "Connections ended for PRIORITY and other frames that mean nothing.",
    of: ["ignoredFlood"],
  },
  {
    name: "http2_inbound_empty_frames_flood",
    help: "Connections ended for DATA without content.",
    of: ["emptyDataFlood"],
  },
  {
    name: "http2_inbound_window_update_frames_flood",
    help: "Connections ended for WINDOW_UPDATE.",
    of: ["windowFlood"],
  },
  {
    name: "http2_header_overflow",
    help: "Heads over the limit, in octets, fields or frames.",
    of: ["continuationFlood", "headerBomb", "headTooLarge", "targetTooLong"],
  },
  {
    name: "http2_rx_messaging_error",
    help: "Messages that break the rules of fields or of their length.",
    of: ["http2Malformed"],
  },
  {
    name: "http2_stream_refused_errors",
    help: "Streams refused: there were too many, or the connection was going away.",
    of: ["streamLimit"],
  },
  {
    name: "http2_rx_reset",
    help: "Streams that the peer reset.",
    of: ["downstreamReset", "upstreamReset", "upstreamUnprocessed"],
  },
  {
    name: "http2_keepalive_timeout",
    help: "Connections ended because the peer did not answer PING.",
    of: ["downstreamSilent", "upstreamSilent"],
  },
  {
    name: "http2_tx_flush_timeout",
    help: "Streams and connections ended because the peer took nothing.",
    of: ["downstreamStalled"],
  },
];

export interface Http2StatsParts {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Log;
}

export class Http2Stats {
  readonly #parts: Http2StatsParts;
  readonly #byFailure = new Map<Failure, Counter>();
  readonly #ended = new Map<Failure, Counter>();
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(parts: Http2StatsParts) {
    this.#parts = parts;
    for (const { name, help, of } of rows) {
      const counter = parts.metrics.counter(`envoy_${name}`, help);
      for (const failure of of) this.#byFailure.set(Failures[failure], counter);
    }
  }

  /** A stream or a request came to nothing; it is the row's, or it does not count. */
  count(failure: Failure): void {
    this.#byFailure.get(failure)?.increment();
  }

  /** We ended the connection with `peer`, an address. */
  ended(failure: Failure, detail: string, peer: string): void {
    this.count(failure);
    let counter = this.#ended.get(failure);
    if (counter === undefined) {
      counter = this.#parts.metrics.counter(
        "mesh_http2_connections_ended_total",
        "HTTP/2 connections that were ended for what the peer did or did not do, by reason.",
        { reason: failure.reason },
      );
      this.#ended.set(failure, counter);
    }
    counter.increment();
    const nowMs = this.#parts.clock.nowMs();
    if (nowMs - this.#loggedMs < LOG_EVERY_MS) {
      this.#unlogged++;
      return;
    }
    const others = this.#unlogged === 0 ? {} : { others: this.#unlogged };
    this.#loggedMs = nowMs;
    this.#unlogged = 0;
    const { reason } = failure;
    this.#parts.log.warn("ended an HTTP/2 connection", { reason, detail, peer, ...others });
  }
}
