/** A route rule ─▶ proto-JSON, as v1alpha2 spells it, or as Istio 0.1 does. */
import type { CorsPolicy, RouteRule, RouteRuleMatch, ServiceRef } from "../model/route-rule.ts";
import { formatDuration } from "../model/validate-duration.ts";

type Json = Readonly<Record<string, unknown>>;
type Era = "0.1" | "v1alpha2";

export function routeRuleJson(rule: RouteRule, era: Era): Json {
  const { timeoutMs, retries, delay, abort, redirect, rewrite, cors, mirror } = rule;
  const match = matchJson(rule.match, era);
  return {
    destination: serviceJson(rule.destination, era),
    precedence: rule.precedence,
    match: Object.keys(match).length > 0 ? match : undefined,
    route: rule.route.map((one) => routeJson(one, rule.destination.host, era)),
    redirect: redirect && target(redirect),
    rewrite: rewrite && target(rewrite),
    websocketUpgrade: rule.websocketUpgrade,
    httpReqTimeout:
      rule.timeoutIsDefault === true
        ? undefined
        : { simpleTimeout: { timeout: formatDuration(timeoutMs) } },
    httpReqRetries: retries && {
      simpleRetry: {
        attempts: retries.attempts,
        ...(retries.perTryTimeoutMs && { perTryTimeout: formatDuration(retries.perTryTimeoutMs) }),
        ...(retries.hedge && { hedgeOnPerTryTimeout: retries.hedge.toUpperCase() }),
      },
    },
    httpFault: (delay ?? abort) && {
      ...(delay && {
        delay: { percent: delay.percent, fixedDelay: formatDuration(delay.fixedDelayMs) },
      }),
      ...(abort && { abort }),
    },
    mirror: mirror && serviceJson(mirror, era),
    corsPolicy: cors && corsJson(cors),
    appendHeaders: rule.appendHeaders,
  };
}

/** A full name: `service` has no suffix added when it is read. */
export function serviceJson({ host, labels }: ServiceRef, era: Era): unknown {
  const labelled = Object.keys(labels).length > 0;
  if (era === "0.1" && !labelled) return host;
  return { service: host, ...(labelled && { labels }) };
}

function routeJson(
  { destination, weight }: RouteRule["route"][number],
  host: string,
  era: Era,
): Json {
  const { labels } = destination;
  return {
    ...(destination.host !== host && {
      destination: serviceJson({ host: destination.host, labels: {} }, era),
    }),
    ...(Object.keys(labels).length > 0 && { [era === "0.1" ? "tags" : "labels"]: labels }),
    weight,
  };
}

function target({ uri, authority }: { uri: string; authority: string }): Json {
  return { ...(uri !== "" && { uri }), ...(authority !== "" && { authority }) };
}

function matchJson(match: RouteRuleMatch, era: Era): Json {
  const { source, uri, scheme, method, authority, headers, tcp } = match;
  const all = {
    ...(uri && { uri }),
    ...(scheme && { scheme }),
    ...(method && { method }),
    ...(authority && { authority }),
    ...headers,
  };
  const conditions = Object.fromEntries(
    Object.entries(all).flatMap(([name, one]) =>
      "value" in one ? [[name, { [one.kind]: one.value }]] : [],
    ),
  );
  const some = Object.keys(conditions).length > 0;
  return {
    ...(source && sourceJson(source, era)),
    ...(tcp && {
      tcp: { sourceSubnet: tcp.sourceSubnets, destinationSubnet: tcp.destinationSubnets },
    }),
    ...(some &&
      (era === "0.1" ? { httpHeaders: conditions } : { request: { headers: conditions } })),
  };
}

function sourceJson(source: ServiceRef, era: Era): Json {
  if (era === "v1alpha2") return { source: serviceJson(source, era) };
  return {
    ...(source.host !== "" && { source: source.host }),
    ...(Object.keys(source.labels).length > 0 && { sourceTags: source.labels }),
  };
}

function corsJson(cors: CorsPolicy): Json {
  const { allowOrigins, allowMethods, allowHeaders, exposeHeaders, maxAgeSeconds } = cors;
  return {
    allowOrigin: allowOrigins.flatMap((one) => ("value" in one ? [one.value] : [])),
    allowMethods,
    allowHeaders,
    exposeHeaders,
    ...(maxAgeSeconds !== undefined && { maxAge: `${maxAgeSeconds}s` }),
    ...(cors.allowCredentials && { allowCredentials: true }),
  };
}
