/**
 * Golden metrics of one destination service at one version, seen from one side: requests by status
 * and response flag, durations, body bytes. Names and labels are Istio's. Series are made when they
 * are first counted, and the number of statuses is bounded, since an upstream chooses them.
 */
import type { Failure } from "../../core/failure.ts";
import type { Histogram } from "../../telemetry/histogram.ts";
import type { Counter, Labels, MetricScope } from "../../telemetry/metrics.ts";
import { CallStats } from "./call-stats.ts";
import { TcpStats } from "./tcp-stats.ts";

export interface RequestLabels {
  /** Which proxy speaks: the caller's or the callee's. */
  readonly reporter: "source" | "destination";
  readonly source: string;
  readonly sourceVersion: string;
  readonly service: string;
  readonly version: string;
  /** The callee's proxy has had the caller's identity proved. */
  readonly isMutual?: boolean;
}

const UNKNOWN = "unknown";

/** Distinct statuses with a series of their own; more are counted by their class: "5xx". */
const STATUSES_MAX = 32;

export class RequestStats {
  readonly labels: RequestLabels;
  readonly #scope: MetricScope;
  /** Without failure, by status; made at the first request. */
  #byStatus: (Counter | undefined)[] | undefined;
  #statuses = 0;
  readonly #byFailure = new Map<Failure, Map<string, Counter>>();
  #duration: Histogram | undefined;
  #requestBytes: Counter | undefined;
  #responseBytes: Counter | undefined;
  #tcp: TcpStats | undefined;
  #calls: CallStats | undefined;
  #mutual: RequestStats | undefined;

  constructor(labels: RequestLabels, scope: MetricScope) {
    this.labels = labels;
    this.#scope = scope;
  }

  /** Counts one exchange at its end; `status` is what the downstream got, 0 for nothing. */
  record(status: number, failure: Failure | undefined, durationMs: number): void {
    if (failure === undefined) this.#statusCounter(status).increment();
    else this.#failureCounter(status, failure).increment();
    this.#duration ??= this.#scope.histogram(
      "istio_request_duration_milliseconds",
      "Duration of requests.",
      this.#names(),
    );
    this.#duration.observe(durationMs);
  }

  /** The same, of callers that have proved who they are. */
  get mutual(): RequestStats {
    this.#mutual ??= new RequestStats({ ...this.labels, isMutual: true }, this.#scope);
    return this.#mutual;
  }

  /** Of connections that are no requests. */
  get tcp(): TcpStats {
    this.#tcp ??= new TcpStats(this.#names(), this.#scope);
    return this.#tcp;
  }

  /** Body bytes of an exchange. */
  recordBytes(request: number, response: number): void {
    this.#requestBytes ??= this.#scope.counter(
      "istio_request_bytes_sum",
      "Bytes of request bodies.",
      this.#names(),
    );
    this.#responseBytes ??= this.#scope.counter(
      "istio_response_bytes_sum",
      "Bytes of response bodies.",
      this.#names(),
    );
    this.#requestBytes.add(request);
    this.#responseBytes.add(response);
  }

  /** Of gRPC, which are counted there and not here. */
  get calls(): CallStats {
    this.#calls ??= new CallStats(this.#names(), this.#scope);
    return this.#calls;
  }

  #statusCounter(status: number): Counter {
    this.#byStatus ??= new Array<Counter | undefined>(600).fill(undefined);
    const at = status >= 0 && status < 600 ? status : 599;
    return this.#byStatus[at] ?? this.#makeStatusCounter(at, this.#byStatus);
  }

  #makeStatusCounter(status: number, byStatus: (Counter | undefined)[]): Counter {
    const own = this.#statuses < STATUSES_MAX;
    const counter = this.#counter(own ? String(status) : classOf(status), "-");
    this.#statuses++;
    byStatus[status] = counter;
    return counter;
  }

  #failureCounter(status: number, failure: Failure): Counter {
    let byCode = this.#byFailure.get(failure);
    if (byCode === undefined) {
      byCode = new Map();
      this.#byFailure.set(failure, byCode);
    }
    const code = status === failure.http || status === 0 ? String(status) : classOf(status);
    let counter = byCode.get(code);
    if (counter === undefined) {
      counter = this.#counter(code, failure.flag);
      byCode.set(code, counter);
    }
    return counter;
  }

  #counter(code: string, flag: string): Counter {
    return this.#scope.counter("istio_requests_total", "Requests, by outcome.", {
      ...this.#names(),
      response_code: code,
      response_flags: flag,
    });
  }

  #names(): Labels {
    const { reporter, source, sourceVersion, service, version, isMutual } = this.labels;
    return {
      reporter,
      source_workload: source || UNKNOWN,
      source_version: sourceVersion || UNKNOWN,
      destination_service: service || UNKNOWN,
      destination_version: version || UNKNOWN,
      request_protocol: "http",
      // A caller's proxy does not judge that, as Istio has it.
      ...(reporter === "destination" && {
        connection_security_policy: isMutual === true ? "mutual_tls" : "none",
      }),
    };
  }
}

function classOf(status: number): string {
  return `${Math.floor(status / 100)}xx`;
}
