/**
 * Calls of one cluster by method, under the names of Envoy's gRPC filter. Callers choose paths, so
 * a method has series of its own only once the upstream has answered it as one that exists, and
 * only so many have; all others are counted as "other".
 */
import { grpcStatusNames } from "../../telemetry/grpc-status-name.ts";
import type { Counter, Labels, MetricScope } from "../../telemetry/metrics.ts";
import { decode, HASH_START, hashEnd, hashOn } from "../route/byte-range.ts";
import { ByteTable } from "../route/byte-table.ts";
import type { Call } from "./call.ts";
import { NO_STATUS, OK, UNIMPLEMENTED } from "./status.ts";

/** Methods of one cluster with series of their own. */
export const METHODS_MAX = 64;
const METHOD_BYTES_MAX = 200;
const SLASH = 0x2f;
const OTHER = "other";

interface MethodSeries {
  readonly labels: Labels;
  readonly total: Counter;
  readonly success: Counter;
  readonly failure: Counter;
  readonly byCode: (Counter | undefined)[];
}

export class MethodStats {
  readonly #cluster: string;
  readonly #scope: MetricScope;
  readonly #numbers = new ByteTable();
  readonly #methods: MethodSeries[] = [];
  #other: MethodSeries | undefined;

  constructor(cluster: string, scope: MetricScope) {
    this.#cluster = cluster;
    this.#scope = scope;
  }

  /** Counts a call at its end; `bytes`: those of its request's head. */
  record(call: Call, bytes: Uint8Array): void {
    const series = this.#find(call, bytes);
    series.total.increment();
    if (call.status === OK) series.success.increment();
    else series.failure.increment();
    if (call.status === NO_STATUS) return;
    series.byCode[call.status] ??= this.#counter(
      String(call.status),
      `Calls that ended with ${grpcStatusNames[call.status]}.`,
      series.labels,
    );
    series.byCode[call.status]!.increment();
  }

  #find(call: Call, bytes: Uint8Array): MethodSeries {
    const { pathStart: from, pathEnd: to } = call;
    const hash = hashEnd(hashOn(HASH_START, bytes, from, to));
    const number = this.#numbers.find(hash, bytes, from, to - from);
    if (number !== -1) return this.#methods[number]!;
    const exists = call.upstreamSaid && call.status !== UNIMPLEMENTED;
    const slash = exists && this.#numbers.size < METHODS_MAX ? lastSlash(bytes, from, to) : -1;
    if (slash === -1) {
      this.#other ??= this.#make(OTHER, OTHER);
      return this.#other;
    }
    const made = this.#make(decode(bytes, from + 1, slash), decode(bytes, slash + 1, to));
    this.#numbers.insert(hash, bytes.slice(from, to));
    this.#methods.push(made);
    return made;
  }

  #make(service: string, method: string): MethodSeries {
    const labels = {
      envoy_cluster_name: this.#cluster,
      envoy_grpc_bridge_service: service,
      envoy_grpc_bridge_method: method,
    };
    return {
      labels,
      total: this.#counter("total", "Calls.", labels),
      success: this.#counter("success", "Calls that ended with OK.", labels),
      failure: this.#counter("failure", "Calls that did not end with OK.", labels),
      byCode: [],
    };
  }

  #counter(name: string, help: string, labels: Labels): Counter {
    return this.#scope.counter(`envoy_cluster_grpc_${name}`, help, labels);
  }
}

/** Where the method's name begins, less one; -1: it is not "/service/method". */
function lastSlash(bytes: Uint8Array, from: number, to: number): number {
  if (to - from > METHOD_BYTES_MAX || bytes[from] !== SLASH) return -1;
  const slash = bytes.indexOf(SLASH, from + 1);
  if (slash <= from + 1 || slash >= to - 1) return -1;
  const next = bytes.indexOf(SLASH, slash + 1);
  return next === -1 || next >= to ? slash : -1;
}
