/** How a cluster balances: the part of its settings that chooses endpoints. */
import {
  type Balancing,
  type HashRule as HashResource,
  LoadBalancer,
  type Locality,
  type SlowStart as SlowStartResource,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { isPrime } from "../../core/prime.ts";
import type { LoadBalancerKind } from "../cluster/balancing/balancer.ts";
import {
  cookieRule,
  type HashPolicy,
  type HashRule,
  headerRule,
  queryRule,
} from "../cluster/balancing/hash-policy.ts";
import { RING_POINTS_MAX } from "../cluster/balancing/hash-ring.ts";
import { type BalancingPolicy, defaultEwma } from "../cluster/balancing/load-balancer.ts";
import type { LocalityPolicy } from "../cluster/balancing/locality.ts";
import { MAGLEV_SIZE_MAX } from "../cluster/balancing/maglev.ts";
import type { SlowStart } from "../cluster/balancing/slow-start.ts";
import type { ProblemList } from "./problem-list.ts";

const RING_POINTS = 1_024;
const MIN_PERCENT = 10;

const kinds: Readonly<Record<LoadBalancer, LoadBalancerKind>> = {
  [LoadBalancer.UNSPECIFIED]: "least-request",
  [LoadBalancer.ROUND_ROBIN]: "round-robin",
  [LoadBalancer.RANDOM]: "random",
  [LoadBalancer.LEAST_REQUEST]: "least-request",
  [LoadBalancer.PEAK_EWMA]: "peak-ewma",
  [LoadBalancer.RING_HASH]: "ring-hash",
  [LoadBalancer.MAGLEV]: "maglev",
};

/** A manager of a later version may say what this proxy does not know: it gets the default. */
export function loadBalancerOf(loadBalancer: LoadBalancer): LoadBalancerKind {
  return kinds[loadBalancer] ?? "least-request";
}

export function compileBalancing(
  resource: Balancing | undefined,
  problems: ProblemList,
): { readonly balancing?: BalancingPolicy } {
  if (resource === undefined) return {};
  const { panicPercent, slowStart, activeBias, ewma, locality, maglevSize } = resource;
  if (panicPercent !== undefined && panicPercent > 100)
    problems.at("panic_percent").add(`${panicPercent} is above 100`);
  if (activeBias !== undefined && !(activeBias >= 0))
    problems.at("active_bias").add(`${activeBias} is below 0`);
  if (maglevSize > MAGLEV_SIZE_MAX || (maglevSize > 0 && !isPrime(maglevSize)))
    problems.at("maglev_size").add(`${maglevSize} is not a prime up to ${MAGLEV_SIZE_MAX}`);
  const pointsMin = Math.min(resource.ringSizeMin || RING_POINTS, RING_POINTS_MAX);
  const pointsMax = Math.min(resource.ringSizeMax || RING_POINTS_MAX, RING_POINTS_MAX);
  if (pointsMin > pointsMax)
    problems.at("ring_size_min").add(`${pointsMin} is above the maximum of ${pointsMax}`);
  return {
    balancing: {
      ...(panicPercent !== undefined && { panicPercent }),
      ...(activeBias !== undefined && { activeBias }),
      ...(slowStart && slowStart.windowMs > 0 && { slowStart: slowStartOf(slowStart, problems) }),
      ...(ewma && {
        ewma: {
          defaultRttMs: ewma.defaultRttMs || defaultEwma.defaultRttMs,
          decayMs: ewma.decayMs || defaultEwma.decayMs,
          penaltyMs: ewma.penaltyMs || defaultEwma.penaltyMs,
        },
      }),
      ...(maglevSize > 0 && { maglevSize }),
      ...(locality && { locality: localityOf(locality) }),
      ring: { pointsMin, pointsMax },
    },
  };
}

/** Nothing to hash: no policy. */
export function compileHash(
  resources: readonly HashResource[],
  problems: ProblemList,
): { readonly hashPolicy?: HashPolicy } {
  const rules = resources.flatMap(({ by }, i) => hashRuleOf(by, problems.at(`hash[${i}]`)));
  return rules.length === 0 ? {} : { hashPolicy: rules };
}

/** RFC 9110 5.6.2: names of fields, cookies and their attributes. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What may stand in a cookie's path or attribute (RFC 6265 4.1.1). */
const attribute = /^[\x20-\x3a\x3c-\x7e]*$/;

function hashRuleOf(by: HashResource["by"], problems: ProblemList): HashRule[] {
  switch (by.case) {
    case "header":
      if (!token.test(by.value)) problems.add(`"${by.value}" is not the name of a field`);
      return [headerRule(by.value)];
    case "query":
      if (by.value === "") problems.add("a query parameter has a name");
      return [queryRule(by.value)];
    case "source":
      return [{ by: "source" }];
    case "cookie": {
      const { name, ttlSeconds, path, attributes } = by.value;
      if (!token.test(name)) problems.add(`"${name}" is not the name of a cookie`);
      for (const text of [path, ...attributes])
        if (!attribute.test(text)) problems.add(`"${text}" cannot be part of a cookie`);
      return [cookieRule({ name, ttlSeconds, path, attributes })];
    }
    case undefined:
      problems.add("it says nothing to hash by");
      return [];
    default:
      return by satisfies never;
  }
}

function slowStartOf(resource: SlowStartResource, problems: ProblemList): SlowStart {
  const { windowMs, aggression, minPercent = MIN_PERCENT } = resource;
  const at = problems.at("slow_start");
  if (!(aggression >= 0)) at.at("aggression").add(`${aggression} is below 0`);
  if (minPercent > 100) at.at("min_percent").add(`${minPercent} is above 100`);
  return { windowMs, aggression: aggression || 1, minPercent };
}

function localityOf({ failover, distribute }: Locality): LocalityPolicy {
  return {
    failover: failover.map(({ from, to }) => ({ from, to })),
    distribute: distribute.map(({ from, to }) => ({
      from,
      to: Object.entries(to)
        .map(([place, weight]) => ({ place, weight }))
        .filter(({ weight }) => weight > 0)
        // The narrower place first: what it names is not the wider one's any more.
        .sort((a, b) => b.place.length - a.place.length),
    })),
  };
}
