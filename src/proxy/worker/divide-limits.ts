/**
 * Each Worker counts for itself what is in use of a cluster, so each gets its part of the limits:
 * an upstream never sees more than its operator allowed, but for one more a Worker where a limit is
 * not a multiple of their number.
 */
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { divideQuotas } from "./divide-quotas.ts";

export function divideLimits(config: ProxyConfig, workers: number): ProxyConfig {
  const { policy } = config;
  const parts = divideClusters(config, workers);
  return policy === undefined ? parts : { ...parts, policy: divideQuotas(policy, workers) };
}

function divideClusters(config: ProxyConfig, workers: number): ProxyConfig {
  if (!config.clusters.some(({ circuitBreaker }) => circuitBreaker !== undefined)) return config;
  const clusters = config.clusters.map((cluster) => {
    const { circuitBreaker: all } = cluster;
    if (all === undefined) return cluster;
    const { perEndpoint } = all;
    const circuitBreaker = { ...all, ...divided(all, workers) };
    if (perEndpoint !== undefined)
      circuitBreaker.perEndpoint = { ...perEndpoint, ...divided(perEndpoint, workers) };
    return { ...cluster, circuitBreaker };
  });
  return { ...config, clusters };
}

const DIVIDED = ["maxConnections", "maxPendingRequests", "maxRequests", "maxRetries"] as const;

type Limits = { [K in (typeof DIVIDED)[number]]?: number | undefined };

/** Those that are there. */
function divided(limits: Limits, workers: number): Limits {
  const parts: Limits = {};
  for (const key of DIVIDED) {
    const value = limits[key];
    if (value !== undefined) parts[key] = Math.ceil(value / workers);
  }
  return parts;
}
