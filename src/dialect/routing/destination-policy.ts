/**
 * Destination policies of Istio 0.1 (a list of them by tags) and of `config.istio.io/v1alpha2`
 * (one, whose destination may have labels). Spec table: manager 1.7.
 */
import type { CircuitBreaker, DestinationPolicy } from "../../model/destination-policy.ts";
import type { ServiceRef } from "../../model/route-rule.ts";
import { ignored, list, message, toRecord, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { duration, integer, oneOf, seconds } from "../schema/scalar.ts";
import { type Context, labels, resolveService, serviceRef } from "./service-ref.ts";

const custom = ignored("has no effect: policies of other proxies are not known");
const count = integer({ least: 0 });

const loadBalancing = message({ name: oneOf("ROUND_ROBIN", "LEAST_CONN", "RANDOM"), custom });

const simpleCb = message({
  maxConnections: count,
  httpMaxPendingRequests: count,
  httpMaxRequests: count,
  httpMaxRequestsPerConnection: count,
  httpMaxRetries: count,
  httpConsecutiveErrors: count,
  httpDetectionInterval: duration(),
  httpDetectionIntervalSeconds: seconds,
  sleepWindow: duration(),
  sleepWindowSeconds: seconds,
  httpMaxEjectionPercent: integer({ least: 0, most: 100 }),
});

const circuitBreaker = message({ simpleCb, custom });

const part = { loadBalancing, circuitBreaker, custom };

const written = message(
  {
    destination: serviceRef,
    source: serviceRef,
    labels,
    ...part,
    policy: list(message({ labels, ...part }, { tags: "labels" })),
  },
  { tags: "labels" },
);

type Written = NonNullable<ValueOf<typeof written>>;

type Part = Pick<Written, "loadBalancing" | "circuitBreaker">;

/** What a proxy of that time did where a circuit breaker said nothing. */
const defaults = {
  maxConnections: 1_024,
  httpMaxPendingRequests: 1_024,
  httpMaxRequests: 1_024,
  httpMaxRetries: 3,
  httpConsecutiveErrors: 5,
  httpDetectionIntervalMs: 10_000,
  sleepWindowMs: 30_000,
  httpMaxEjectionPercent: 10,
};

/** Undefined after the problems have been reported. */
export function readDestinationPolicy(
  place: Place,
  context: Context,
): DestinationPolicy | undefined {
  const policy = written(place);
  if (policy === undefined) return undefined;
  const named = readDestination(policy, context);
  const source = policy.source && resolveService(policy.source, context);
  if (context.era === "v1alpha2") checkLoadBalancing(policy);
  if (named === undefined) return undefined;
  const destination = { ...named, labels: { ...named.labels, ...toRecord(policy.labels) } };
  const own = toPart(policy);
  const parts = (policy.policy ?? []).map((entry) => ({
    destination: { host: named.host, labels: toRecord(entry.labels) },
    ...(source && { source }),
    ...toPart(entry),
  }));
  const [first, ...others] = parts;
  if (first === undefined) return { destination, ...(source && { source }), ...own };
  if (policy.has("loadBalancing") || policy.has("circuitBreaker") || policy.has("labels"))
    policy.at("policy").error("must not stand beside loadBalancing, circuitBreaker or tags");
  return { ...first, ...(others.length > 0 && { others }) };
}

function readDestination(policy: Written, context: Context): ServiceRef | undefined {
  if (policy.destination !== undefined) return resolveService(policy.destination, context);
  if (!policy.has("destination")) policy.at().error("must have a destination");
  return undefined;
}

function checkLoadBalancing({ loadBalancing: block }: Written): void {
  if (block !== undefined && !block.has("name") && !block.has("custom"))
    block.at().error("must have a name");
}

function toPart(from: Part): Pick<DestinationPolicy, "loadBalancing" | "circuitBreaker"> {
  const name = from.loadBalancing?.name;
  const breaker = from.circuitBreaker?.simpleCb;
  return {
    ...(name && { loadBalancing: name }),
    ...(breaker && { circuitBreaker: toBreaker(breaker) }),
  };
}

function toBreaker(breaker: ValueOf<typeof simpleCb>): CircuitBreaker {
  const interval = breaker.httpDetectionInterval ?? breaker.httpDetectionIntervalSeconds;
  const window = breaker.sleepWindow ?? breaker.sleepWindowSeconds;
  const perConnection = breaker.httpMaxRequestsPerConnection ?? 0;
  // Zero is absent, as in every proto3 message.
  return {
    maxConnections: breaker.maxConnections || defaults.maxConnections,
    httpMaxPendingRequests: breaker.httpMaxPendingRequests || defaults.httpMaxPendingRequests,
    httpMaxRequests: breaker.httpMaxRequests || defaults.httpMaxRequests,
    ...(perConnection > 0 && { httpMaxRequestsPerConnection: perConnection }),
    httpMaxRetries: breaker.httpMaxRetries || defaults.httpMaxRetries,
    httpConsecutiveErrors: breaker.httpConsecutiveErrors || defaults.httpConsecutiveErrors,
    httpDetectionIntervalMs: interval || defaults.httpDetectionIntervalMs,
    sleepWindowMs: window || defaults.sleepWindowMs,
    httpMaxEjectionPercent: breaker.httpMaxEjectionPercent || defaults.httpMaxEjectionPercent,
  };
}
