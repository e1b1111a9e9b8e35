/**
 * Golden metrics of gRPC calls to one service at one version: as requests are counted, with what
 * the call ended with.
 */
import type { Failure } from "../../core/failure.ts";
import type { Histogram } from "../../telemetry/histogram.ts";
import type { Counter, Labels, MetricScope } from "../../telemetry/metrics.ts";

/** Distinct outcomes with series of their own; an upstream may choose them. */
const OUTCOMES_MAX = 64;

export interface CallOutcome {
  /** Of HTTP; 0: the downstream got none. */
  readonly httpStatus: number;
  /** -1: nobody said. */
  readonly grpcStatus: number;
  readonly failure: Failure | undefined;
}

export class CallStats {
  readonly #labels: Labels;
  readonly #scope: MetricScope;
  /** By HTTP status, code and flag. */
  readonly #requests = new Map<Failure | undefined, Map<number, Counter>>();
  #outcomes = 0;
  #duration: Histogram | undefined;
  #requestBytes: Counter | undefined;
  #responseBytes: Counter | undefined;

  /** `labels`: who calls whom. */
  constructor(labels: Labels, scope: MetricScope) {
    this.#labels = { ...labels, request_protocol: "grpc" };
    this.#scope = scope;
  }

  record(outcome: CallOutcome, durationMs: number): void {
    this.#counterOf(outcome).increment();
    this.#duration ??= this.#scope.histogram(
      "istio_request_duration_milliseconds",
      "Duration of requests.",
      this.#labels,
    );
    this.#duration.observe(durationMs);
  }

  /** Body bytes of a call. */
  recordBytes(request: number, response: number): void {
    this.#requestBytes ??= this.#scope.counter(
      "istio_request_bytes_sum",
      "Bytes of request bodies.",
      this.#labels,
    );
    this.#responseBytes ??= this.#scope.counter(
      "istio_response_bytes_sum",
      "Bytes of response bodies.",
      this.#labels,
    );
    this.#requestBytes.add(request);
    this.#responseBytes.add(response);
  }

  #counterOf({ httpStatus, grpcStatus, failure }: CallOutcome): Counter {
    let byStatus = this.#requests.get(failure);
    if (byStatus === undefined) {
      byStatus = new Map();
      this.#requests.set(failure, byStatus);
    }
    const known = byStatus.get(httpStatus * 32 + grpcStatus);
    if (known !== undefined) return known;
    const own = this.#outcomes++ < OUTCOMES_MAX;
    const code = own ? String(httpStatus) : `${Math.floor(httpStatus / 100)}xx`;
    const counter = this.#scope.counter("istio_requests_total", "Requests, by outcome.", {
      ...this.#labels,
      response_code: code,
      response_flags: failure?.flag ?? "-",
      grpc_response_status: grpcStatus < 0 ? "" : String(grpcStatus),
    });
    byStatus.set(httpStatus * 32 + grpcStatus, counter);
    return counter;
  }
}
