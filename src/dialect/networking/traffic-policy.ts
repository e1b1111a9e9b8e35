/**
 * TrafficPolicy of a DestinationRule: balancing, limits, ejection, for all ports or for some. What
 * this mesh does otherwise or not yet is judged, and then left out with a warning. Manager 1.14.
 */
import type {
  ConnectionPool,
  OutlierSettings,
  PortPolicy,
  RetryBudget,
  TrafficPolicy,
} from "../../model/destination-rule.ts";
import { checkIpAddress } from "../../model/validate-address.ts";
import { checkConnectTimeout, checkDuration } from "../../model/validate-duration.ts";
import { checkFqdn } from "../../model/validate-name.ts";
import { list, message, type Reader, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { checkedText, duration, flag, integer, oneOf, percent } from "../schema/scalar.ts";
import { clientTls, toClientTls } from "./client-tls.ts";
import { healthCheck } from "./health-check.ts";
import { loadBalancer, toLoadBalancer } from "./load-balancer.ts";
import { portNumber } from "./workload-entry.ts";

const count = integer({ least: 0 });
const wholePercent = integer({ least: 0, most: 100 });
const noEffect = "has no effect yet";

/** 0: without end. */
const durationOrNone = duration((value) => (value === 0n ? undefined : checkDuration(value)));

/** Judged, and left out with a warning. */
function judged<T>(reader: Reader<T>): Reader<never> {
  return (place) => {
    if (reader(place) !== undefined) place.warn(noEffect);
    return undefined;
  };
}

const keepalive: Reader<Place> = (place) => {
  const read = message({ interval: duration(), timeout: duration() })(place);
  if (read === undefined) return undefined;
  if (!read.has("interval") || !read.has("timeout"))
    place.error("must have an interval and a timeout");
  return place;
};

const http: Reader<HttpPool> = (place) => {
  const pool = httpPool(place);
  if (pool?.h2UpgradePolicy !== "UPGRADE" || pool.useClientProtocol !== true) return pool;
  pool.at("useClientProtocol").error("must not stand beside h2UpgradePolicy: UPGRADE");
  return undefined;
};

const httpPool = message({
  http1MaxPendingRequests: count,
  http2MaxRequests: count,
  maxRequestsPerConnection: count,
  maxRetries: count,
  idleTimeout: judged(durationOrNone),
  h2UpgradePolicy: oneOf("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"),
  useClientProtocol: flag,
  maxConcurrentStreams: judged(count),
  http2KeepAlive: judged(keepalive),
});
type HttpPool = NonNullable<ValueOf<typeof httpPool>>;

const connectionPool = message({
  tcp: message({
    maxConnections: count,
    connectTimeout: duration((value) => checkConnectTimeout(value, 86_400_000_000_000n)),
    tcpKeepalive: judged(message({ probes: count, time: duration(), interval: duration() })),
    maxConnectionDuration: judged(duration()),
    idleTimeout: judged(durationOrNone),
  }),
  http,
});

const outlierDetection = message({
  consecutive5xxErrors: count,
  consecutiveGatewayErrors: count,
  consecutiveErrors: judged(count),
  splitExternalLocalOriginErrors: flag,
  consecutiveLocalOriginFailures: count,
  interval: duration(),
  baseEjectionTime: duration(),
  maxEjectionPercent: wholePercent,
  minHealthPercent: wholePercent,
  outlierDetectionHttpErrorCodes: judged(list(integer({ least: 100, most: 599 }))),
});

const part = { loadBalancer, connectionPool, outlierDetection, tls: clientTls, healthCheck };

const tunnelTo = message({
  protocol: oneOf("CONNECT", "POST"),
  targetHost: checkedText((host) =>
    checkIpAddress(host) === undefined ? undefined : checkFqdn(host),
  ),
  targetPort: portNumber,
});

const tunnel: Reader<Place> = (place) => {
  const read = tunnelTo(place);
  for (const needed of ["targetHost", "targetPort"] as const)
    if (read !== undefined && !read.has(needed)) place.error(`must have a ${needed}`);
  return read && place;
};

const retryBudget = message({ percent, minRetryConcurrency: count, budgetInterval: duration() });

const written = message({
  ...part,
  portLevelSettings: list(message({ port: message({ number: portNumber }), ...part })),
  tunnel: judged(tunnel),
  proxyProtocol: message({ version: oneOf("V1", "V2") }),
  retryBudget,
});

/** Undefined after the problems have been reported. */
export const trafficPolicy: Reader<TrafficPolicy> = (place) => {
  const policy = written(place);
  if (policy === undefined) return undefined;
  const fields = Object.keys({ ...part, portLevelSettings: 0, tunnel: 0, proxyProtocol: 0 });
  const has = (field: string): boolean => policy.has(field as "tls");
  if (![...fields, "retryBudget"].some(has)) place.error("must say something");
  if (has("tunnel") && has("proxyProtocol"))
    policy.at("proxyProtocol").error("must not stand beside a tunnel");
  const ports = (policy.portLevelSettings ?? []).flatMap((settings) => {
    const port = settings.port?.number;
    if (port !== undefined) return [{ port, ...toPart(settings) }];
    if (!settings.has("port")) settings.at().error("must have a port");
    else if (settings.port !== undefined && !settings.port.has("number"))
      settings.at("port").error("must have a number");
    return [];
  });
  return {
    ...toPart(policy),
    ...(ports.length > 0 && { portLevelSettings: ports }),
    ...(policy.proxyProtocol && { proxyProtocol: policy.proxyProtocol.version ?? "V1" }),
    ...(policy.retryBudget && { retryBudget: toBudget(policy.retryBudget) }),
  };
};

type Part = {
  readonly [K in keyof typeof part]?: ValueOf<(typeof part)[K]>;
};

function toPart(from: Part): PortPolicy {
  const { loadBalancer: balancer, connectionPool: pool, outlierDetection: outlier } = from;
  const tls = from.tls && toClientTls(from.tls);
  const check = from.healthCheck;
  return {
    ...(balancer && { loadBalancer: toLoadBalancer(balancer) }),
    ...(pool && { connectionPool: toPool(pool) }),
    ...(outlier && { outlierDetection: toOutlier(outlier) }),
    ...(tls && { tls }),
    ...(check && { healthCheck: check }),
  };
}

/** Zero is no limit, as in every proto3 message. */
function toPool(pool: NonNullable<ValueOf<typeof connectionPool>>): ConnectionPool {
  if (!pool.has("tcp") && !pool.has("http")) pool.at().error("must have tcp or http");
  const limits = {
    maxConnections: pool.tcp?.maxConnections,
    connectTimeoutMs: pool.tcp?.connectTimeout,
    http1MaxPendingRequests: pool.http?.http1MaxPendingRequests,
    http2MaxRequests: pool.http?.http2MaxRequests,
    maxRequestsPerConnection: pool.http?.maxRequestsPerConnection,
    maxRetries: pool.http?.maxRetries,
  };
  for (const field of ["h2UpgradePolicy", "useClientProtocol"] as const)
    if (pool.http?.[field] !== undefined) pool.http.at(field).warn(noEffect);
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => (value ?? 0) > 0));
}

function toOutlier(outlier: NonNullable<ValueOf<typeof outlierDetection>>): OutlierSettings {
  const split = outlier.splitExternalLocalOriginErrors ?? false;
  if (outlier.has("consecutiveLocalOriginFailures") && !split)
    outlier
      .at("consecutiveLocalOriginFailures")
      .error("must stand beside splitExternalLocalOriginErrors: true");
  return {
    consecutive5xxErrors: outlier.consecutive5xxErrors ?? 5,
    consecutiveGatewayErrors: outlier.consecutiveGatewayErrors ?? 0,
    splitExternalLocalOriginErrors: split,
    consecutiveLocalOriginFailures: outlier.consecutiveLocalOriginFailures || 5,
    intervalMs: outlier.interval ?? 10_000,
    baseEjectionMs: outlier.baseEjectionTime ?? 30_000,
    maxEjectionPercent: outlier.maxEjectionPercent || 10,
    minHealthPercent: outlier.minHealthPercent ?? 0,
  };
}

function toBudget(budget: NonNullable<ValueOf<typeof retryBudget>>): RetryBudget {
  return {
    percent: budget.percent ?? 20,
    minRetryConcurrency: budget.minRetryConcurrency ?? 3,
    budgetIntervalMs: budget.budgetInterval ?? 0,
  };
}
