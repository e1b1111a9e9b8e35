/**
 * One route rule ─▶ one route of one service port. Spec tables: manager 1.3, 1.5.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  RetryPolicy_Condition,
  RetryPolicy_Hedge,
  type Route,
  type RouteMatch,
  RouteMatchSchema,
  RouteSchema,
  type StringMatch as StringMatchMessage,
  StringMatchSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ConfigOf } from "../../model/config.ts";
import type {
  Retries,
  RouteRule,
  RouteRuleMatch,
  ServiceRef,
  StringMatch,
} from "../../model/route-rule.ts";
import { compare } from "../order.ts";
import { originOf } from "./origin.ts";

/** The cluster of a destination of the port in question; the caller takes note of its use. */
export type UseCluster = (destination: ServiceRef) => string;

const RETRY_BACKOFF_MS = 25;

/**
 * Where no rule says otherwise, what was certainly never processed is tried again, and so is what
 * may be done twice (RFC 9110 9.2.2): an endpoint that goes away, or dies, fails nobody.
 */
const SAFE_RETRY = {
  attempts: 2,
  perTryTimeoutMs: 0,
  on: [
    RetryPolicy_Condition.CONDITION_CONNECT_FAILURE,
    RetryPolicy_Condition.CONDITION_REFUSED_STREAM,
    RetryPolicy_Condition.CONDITION_IDEMPOTENT_RESET,
  ],
  backoffMs: RETRY_BACKOFF_MS,
};

/** What OLD rules retry: 5xx (which includes resets), connect failures, refused streams. */
const RULE_CONDITIONS = [
  RetryPolicy_Condition.CONDITION_5XX,
  RetryPolicy_Condition.CONDITION_RESET,
  RetryPolicy_Condition.CONDITION_CONNECT_FAILURE,
  RetryPolicy_Condition.CONDITION_REFUSED_STREAM,
];

export function routeOf(config: ConfigOf<"RouteRule">, useCluster: UseCluster): Route {
  const rule = config.spec;
  return create(RouteSchema, {
    name: `${config.meta.namespace}/${config.meta.name}`,
    origin: originOf(config),
    match: matchOf(rule),
    action: actionOf(rule, useCluster),
    ...(rule.rewrite !== undefined && { rewrite: { ...rule.rewrite } }),
    timeoutMs: rule.timeoutMs,
    timeoutIsDefault: rule.timeoutIsDefault === true,
    ...retryOf(rule),
    ...faultOf(rule),
    ...(rule.mirror !== undefined && {
      mirror: { cluster: useCluster(rule.mirror), percent: 100 },
    }),
    ...corsOf(rule),
    appendRequestHeaders: Object.entries(rule.appendHeaders)
      .sort(([a], [b]) => compare(a, b))
      .map(([name, value]) => ({ name, value })),
    websocket: rule.websocketUpgrade,
  });
}

/** What is left when no rule matched: all instances, no conditions. */
export function defaultRoute(cluster: string): Route {
  return create(RouteSchema, {
    name: "default-route",
    match: {},
    action: { case: "forward", value: { clusters: [{ cluster, weight: 100 }] } },
    retry: SAFE_RETRY,
    websocket: true,
  });
}

/** For what is not HTTP: CONNECT, and nothing else. */
export function tunnelRoute(cluster: string): Route {
  return create(RouteSchema, {
    name: "tunnel",
    match: { method: { kind: { case: "exact", value: "CONNECT" } } },
    action: { case: "forward", value: { clusters: [{ cluster, weight: 100 }] } },
    retry: SAFE_RETRY,
  });
}

/** Nothing behind a catch-all can be reached. */
export function isCatchAll(match: RouteRuleMatch): boolean {
  return (
    Object.keys(match.headers).length === 0 &&
    match.scheme === undefined &&
    match.method === undefined &&
    match.authority === undefined &&
    (match.uri === undefined || (match.uri.kind === "prefix" && match.uri.value === "/"))
  );
}

function matchOf(rule: RouteRule): RouteMatch {
  const { uri, method, scheme, authority, headers } = rule.match;
  // A rewritten uri replaces the matched prefix, and no uri condition means the prefix "/".
  const path = uri ?? (rule.rewrite?.uri ? ({ kind: "prefix", value: "/" } as const) : undefined);
  return create(RouteMatchSchema, {
    ...(path !== undefined && { path: stringMatchOf(path) }),
    ...(method !== undefined && { method: stringMatchOf(method) }),
    ...(scheme !== undefined && { scheme: stringMatchOf(scheme) }),
    ...(authority !== undefined && { authority: stringMatchOf(authority) }),
    headers: Object.entries(headers)
      .sort(([a], [b]) => compare(a, b))
      .map(([name, value]) => ({ name, value: stringMatchOf(value) })),
  });
}

function stringMatchOf(match: StringMatch): StringMatchMessage {
  return create(StringMatchSchema, {
    kind:
      match.kind === "present"
        ? { case: "present", value: true }
        : { case: match.kind, value: match.value },
  });
}

function actionOf(
  rule: RouteRule,
  useCluster: UseCluster,
): NonNullable<MessageInitShape<typeof RouteSchema>["action"]> {
  if (rule.redirect !== undefined) return { case: "redirect", value: { ...rule.redirect } };
  return { case: "forward", value: { clusters: weightedClusters(rule, useCluster) } };
}

/** Destinations of weight 0 get nothing; two that name one cluster are one. */
export function weightedClusters(
  rule: RouteRule,
  useCluster: UseCluster,
): { cluster: string; weight: number }[] {
  const [only, ...more] = rule.route;
  if (only === undefined) return [{ cluster: useCluster(rule.destination), weight: 100 }];
  if (more.length === 0) return [{ cluster: useCluster(only.destination), weight: 100 }];
  const weights = new Map<string, number>();
  for (const { destination, weight } of rule.route) {
    if (weight === 0) continue;
    const cluster = useCluster(destination);
    weights.set(cluster, (weights.get(cluster) ?? 0) + weight);
  }
  return [...weights].map(([cluster, weight]) => ({ cluster, weight }));
}

function retryOf({ retries }: RouteRule) {
  if (retries === undefined) return { retry: SAFE_RETRY };
  if (retries.attempts === 0) return {};
  return {
    retry: {
      attempts: retries.attempts,
      perTryTimeoutMs: retries.perTryTimeoutMs ?? 0,
      on: RULE_CONDITIONS,
      backoffMs: RETRY_BACKOFF_MS,
      hedge: hedgeOf(retries),
    },
  };
}

function hedgeOf({ hedge }: Retries): RetryPolicy_Hedge {
  if (hedge === undefined) return RetryPolicy_Hedge.UNSPECIFIED;
  return hedge === "all" ? RetryPolicy_Hedge.ALL : RetryPolicy_Hedge.IDEMPOTENT;
}

function faultOf({ delay, abort }: RouteRule) {
  if (delay === undefined && abort === undefined) return {};
  return {
    fault: {
      delayPercent: delay?.percent ?? 0,
      delayMs: delay?.fixedDelayMs ?? 0,
      abortPercent: abort?.percent ?? 0,
      abortStatus: abort?.httpStatus ?? 0,
    },
  };
}

function corsOf({ cors }: RouteRule) {
  if (cors === undefined) return {};
  return {
    cors: {
      allowOrigins: cors.allowOrigins.map(stringMatchOf),
      allowMethods: [...cors.allowMethods],
      allowHeaders: [...cors.allowHeaders],
      exposeHeaders: [...cors.exposeHeaders],
      maxAgeSeconds: cors.maxAgeSeconds ?? 0,
      allowCredentials: cors.allowCredentials,
    },
  };
}
