/**
 * What one route does with the requests that match it, compiled: every name is a reference, every
 * text that goes on the wire is prepared bytes, every percentage a fraction of 1.
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { CorsPolicy } from "./cors.ts";
import type { RetryPolicy } from "./retry.ts";
import type { WeightedClusters } from "./weighted-clusters.ts";

export interface Redirect {
  readonly status: number;
  /** Path, with query if it has one; undefined: as received. */
  readonly uri: Uint8Array | undefined;
  /** Undefined: as received. */
  readonly authority: Uint8Array | undefined;
}

export interface DirectResponse {
  readonly status: number;
  /** UTF-8; may be empty. */
  readonly body: Uint8Array;
}

export type Action =
  | { readonly at: "forward"; readonly clusters: WeightedClusters }
  | { readonly at: "redirect"; readonly redirect: Redirect }
  | { readonly at: "direct"; readonly direct: DirectResponse };

export interface Rewrite {
  /** Takes the place of the path's first `prefixBytes`; undefined: the path stays. */
  readonly uri: Uint8Array | undefined;
  /** -1: of the whole path. */
  readonly prefixBytes: number;
  /** For Host; undefined: as received. */
  readonly authority: Uint8Array | undefined;
}

/** Each happens if a random number in [0, 1) is below its fraction; the delay comes first. */
export interface Fault {
  readonly delayFraction: number;
  readonly delayMs: number;
  readonly abortFraction: number;
  readonly abortStatus: number;
}

export interface Mirror {
  readonly cluster: Cluster;
  /** Of requests, 0..1. */
  readonly fraction: number;
}

export interface Route {
  readonly name: string;
  /** Who wrote it: "RouteRule/default/canary (rules/a.yaml:3)"; may be empty. */
  readonly origin: string;
  readonly action: Action;
  readonly rewrite: Rewrite | undefined;
  /** Whole exchange, retries included; 0: none. */
  readonly timeoutMs: number;
  /** Nobody wrote it: calls of gRPC with a deadline of their own are not cut by it. */
  readonly timeoutIsDefault: boolean;
  readonly retry: RetryPolicy | undefined;
  readonly fault: Fault | undefined;
  readonly mirror: Mirror | undefined;
  readonly cors: CorsPolicy | undefined;
  /** Whole lines "name: value\r\n", for HeadWriter.add(); may be empty. */
  readonly requestFields: Uint8Array;
  /** The upgrade to WebSocket is passed on. */
  readonly websocket: boolean;
}
