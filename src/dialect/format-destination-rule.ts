/** A DestinationRule in proto-JSON, for `get -o yaml`; what it says reads back to an equal rule. */
import type { ClientTlsSettings } from "../model/client-tls.ts";
import type {
  ConnectionPool,
  ConsistentHash,
  DestinationRule,
  LoadBalancerSettings,
  LocalitySetting,
  OutlierSettings,
  PortPolicy,
  TrafficPolicy,
} from "../model/destination-rule.ts";
import type { HealthCheckSettings } from "../model/health-check.ts";
import { formatDuration } from "../model/validate-duration.ts";

type Json = Readonly<Record<string, unknown>>;

/** Undefined fields are for the caller to leave out; zeros are meant. */
export function destinationRuleJson(rule: DestinationRule): Json {
  const { host, trafficPolicy, subsets, exportTo, workloadSelector } = rule;
  return defined({
    host,
    trafficPolicy: trafficPolicy && trafficJson(trafficPolicy),
    subsets:
      subsets.length === 0
        ? undefined
        : subsets.map((subset) =>
            defined({
              name: subset.name,
              labels: Object.keys(subset.labels).length === 0 ? undefined : subset.labels,
              trafficPolicy: subset.trafficPolicy && trafficJson(subset.trafficPolicy),
            }),
          ),
    exportTo: exportTo.length === 0 ? undefined : exportTo,
    workloadSelector: workloadSelector && { matchLabels: workloadSelector },
  });
}

function trafficJson(policy: TrafficPolicy): Json {
  const { retryBudget, portLevelSettings, proxyProtocol: version } = policy;
  return defined({
    ...partJson(policy),
    portLevelSettings: portLevelSettings?.map(({ port, ...own }) => ({
      port: { number: port },
      ...partJson(own),
    })),
    proxyProtocol: version && { version },
    retryBudget:
      retryBudget &&
      defined({
        percent: retryBudget.percent,
        minRetryConcurrency: retryBudget.minRetryConcurrency,
        budgetInterval:
          retryBudget.budgetIntervalMs === 0
            ? undefined
            : formatDuration(retryBudget.budgetIntervalMs),
      }),
  });
}

function partJson(part: PortPolicy): Json {
  const { loadBalancer, connectionPool, outlierDetection, tls, healthCheck } = part;
  return defined({
    loadBalancer: loadBalancer && balancerJson(loadBalancer),
    connectionPool: connectionPool && poolJson(connectionPool),
    outlierDetection: outlierDetection && outlierJson(outlierDetection),
    tls: tls && tlsJson(tls),
    healthCheck: healthCheck && checkJson(healthCheck),
  });
}

function checkJson({ probe, plaintext, ...rest }: HealthCheckSettings): Json {
  const { by, ...asked } = probe;
  const lists = Object.entries(asked).filter(
    ([, value]) => typeof value === "string" || Object.keys(value).length > 0,
  );
  const times = Object.entries(rest).map(([name, value]) =>
    name.endsWith("Ms") ? [name.slice(0, -2), formatDuration(value)] : [name, value],
  );
  return defined({
    [by]: Object.fromEntries(lists),
    ...Object.fromEntries(times),
    plaintext: plaintext ? true : undefined,
  });
}

function tlsJson({ mode, subjectAltNames, insecureSkipVerify, ...texts }: ClientTlsSettings): Json {
  const written = Object.entries(texts).filter(([, text]) => text !== "");
  return defined({
    mode,
    ...Object.fromEntries(written),
    subjectAltNames: subjectAltNames.length === 0 ? undefined : subjectAltNames,
    insecureSkipVerify: insecureSkipVerify ? true : undefined,
  });
}

function balancerJson(settings: LoadBalancerSettings): Json {
  const { simple, consistentHash, locality, warmup } = settings;
  return defined({
    simple,
    consistentHash: consistentHash && hashJson(consistentHash),
    localityLbSetting: locality && localityJson(locality),
    warmup: warmup && {
      duration: formatDuration(warmup.durationMs),
      minimumPercent: warmup.minimumPercent,
      aggression: warmup.aggression,
    },
  });
}

function hashJson({ minimumRingSize, maglevTableSize, httpCookie, ...by }: ConsistentHash): Json {
  return defined({
    ...by,
    httpCookie:
      httpCookie &&
      defined({
        name: httpCookie.name,
        path: httpCookie.path === "" ? undefined : httpCookie.path,
        ttl: httpCookie.ttlMs === undefined ? undefined : formatDuration(httpCookie.ttlMs),
        attributes: httpCookie.attributes.length === 0 ? undefined : httpCookie.attributes,
      }),
    ringHash: minimumRingSize === undefined ? undefined : { minimumRingSize },
    maglev: maglevTableSize === undefined ? undefined : { tableSize: maglevTableSize },
  });
}

function localityJson({ enabled, failover, distribute }: LocalitySetting): Json {
  return defined({
    enabled,
    failover: failover.length === 0 ? undefined : failover,
    distribute: distribute.length === 0 ? undefined : distribute,
  });
}

/** A pool says tcp or http, whatever else it leaves out. */
function poolJson({ maxConnections, connectTimeoutMs, ...http }: ConnectionPool): Json {
  const tcp = defined({
    maxConnections,
    connectTimeout: connectTimeoutMs === undefined ? undefined : formatDuration(connectTimeoutMs),
  });
  return defined({
    tcp: Object.keys(tcp).length === 0 && Object.keys(http).length > 0 ? undefined : tcp,
    http: Object.keys(http).length === 0 ? undefined : http,
  });
}

function outlierJson({ intervalMs, baseEjectionMs, ...rest }: OutlierSettings): Json {
  const { splitExternalLocalOriginErrors: split, consecutiveLocalOriginFailures, ...counts } = rest;
  return defined({
    ...counts,
    splitExternalLocalOriginErrors: split ? true : undefined,
    consecutiveLocalOriginFailures: split ? consecutiveLocalOriginFailures : undefined,
    interval: formatDuration(intervalMs),
    baseEjectionTime: formatDuration(baseEjectionMs),
  });
}

function defined(json: Json): Json {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined));
}
