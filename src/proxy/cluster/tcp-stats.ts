/**
 * Golden metrics of the TCP connections to one destination service at one version, under Istio's
 * names. Bytes are counted as they pass, since connections last for days. Series are made at the
 * first connection.
 */
import type { Failure } from "../../core/failure.ts";
import type { Counter, Labels, MetricScope } from "../../telemetry/metrics.ts";

export interface TcpSeries {
  readonly opened: Counter;
  /** To the downstream. */
  readonly sent: Counter;
  /** From the downstream. */
  readonly received: Counter;
}

export class TcpStats {
  readonly #labels: Labels;
  readonly #scope: MetricScope;
  readonly #closed = new Map<Failure | undefined, Counter>();
  #series: TcpSeries | undefined;

  constructor(labels: Labels, scope: MetricScope) {
    this.#labels = { ...labels, request_protocol: "tcp" };
    this.#scope = scope;
  }

  /** The slots to count in. */
  get series(): TcpSeries {
    this.#series ??= {
      opened: this.#counter("connections_opened_total", "TCP connections opened."),
      sent: this.#counter("sent_bytes_total", "Bytes sent to the downstreams of TCP connections."),
      received: this.#counter(
        "received_bytes_total",
        "Bytes received from the downstreams of TCP connections.",
      ),
    };
    return this.#series;
  }

  /** Undefined: it ended in an orderly way. */
  closed(failure: Failure | undefined): void {
    let counter = this.#closed.get(failure);
    if (counter === undefined) {
      const response_flags = failure?.flag ?? "-";
      counter = this.#counter(
        "connections_closed_total",
        "TCP connections closed, by response flag.",
        { response_flags },
      );
      this.#closed.set(failure, counter);
    }
    counter.increment();
  }

  #counter(name: string, help: string, more: Labels = {}): Counter {
    return this.#scope.counter(`istio_tcp_${name}`, help, { ...this.#labels, ...more });
  }
}
