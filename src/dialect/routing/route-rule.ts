/**
 * Route rules of Istio 0.1 (`route-rule`) and of `config.istio.io/v1alpha2` (RouteRule), with the
 * spellings of the releases before. One table reads them all; what an era means by an absent value
 * is decided here. Spec tables: manager 1.3, 1.5, 1.10.
 */
import type { RouteRule, ServiceRef, WeightedDestination } from "../../model/route-rule.ts";
import {
  checkAppendedName,
  checkAuthority,
  checkHeaderValue,
  checkPath,
} from "../../model/validate-http.ts";
import { list, mapOf, message, type Reader, toRecord, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { checkedText, flag, integer } from "../schema/scalar.ts";
import {
  corsPolicy,
  fault,
  readAction,
  retries,
  timeout,
  toCors,
  toFault,
} from "./route-action.ts";
import { match, toMatch } from "./route-match.ts";
import { type Context, labels, resolveService, serviceRef } from "./service-ref.ts";

const weighted = message(
  { destination: serviceRef, labels, weight: integer({ least: 0, most: 100 }) },
  { tags: "labels" },
);

const target = message({ uri: checkedText(checkPath), authority: checkedText(checkAuthority) });

const notImplemented: Reader<never> = (place) => {
  place.error("is not supported: faults of TCP connections were never implemented");
  return undefined;
};

const written = message(
  {
    destination: serviceRef,
    precedence: integer(),
    match,
    route: list(weighted),
    redirect: target,
    rewrite: target,
    websocketUpgrade: flag,
    httpReqTimeout: timeout,
    httpReqRetries: retries,
    httpFault: fault,
    l4Fault: notImplemented,
    mirror: serviceRef,
    corsPolicy,
    appendHeaders: mapOf(checkedText(checkHeaderValue)),
  },
  {},
);

type Written = NonNullable<ValueOf<typeof written>>;

/** Milliseconds: what a proxy of that time waited where a rule said nothing. */
const defaultTimeoutMs = 15_000;
/** The manuals of that time promise 302. */
const redirectCode = 302;

/** Undefined after the problems have been reported. */
export function readRouteRule(place: Place, context: Context): RouteRule | undefined {
  const rule = written(place);
  if (rule === undefined) return undefined;
  const destination = readDestination(rule, context);
  const route = readRoute(rule, destination, context);
  checkTogether(rule);
  const { delay, abort } = toFault(rule.httpFault);
  const { timeoutMs, retry } = readAction(rule.httpReqTimeout, rule.httpReqRetries);
  const mirror = rule.mirror && resolveService(rule.mirror, context);
  const cors = rule.corsPolicy && toCors(rule.corsPolicy);
  const conditions = toMatch(rule.match, context);
  for (const { key, at } of rule.appendHeaders ?? []) at.check(checkAppendedName(key));
  if (destination === undefined) return undefined;
  const { redirect, rewrite } = rule;
  return {
    destination,
    precedence: rule.precedence ?? 0,
    match: conditions,
    route,
    ...(redirect && { redirect: { ...toTarget(redirect), code: redirectCode } }),
    ...(rewrite && { rewrite: toTarget(rewrite) }),
    websocketUpgrade: rule.websocketUpgrade ?? false,
    timeoutMs: timeoutMs ?? defaultTimeoutMs,
    ...(timeoutMs === undefined && { timeoutIsDefault: true }),
    ...(retry && { retries: retry }),
    ...(delay && { delay }),
    ...(abort && { abort }),
    ...(mirror && { mirror }),
    ...(cors && { cors }),
    appendHeaders: toRecord(rule.appendHeaders),
  };
}

function toTarget(written: ValueOf<typeof target>) {
  const { uri = "", authority = "" } = written;
  if (uri !== "" && !uri.startsWith("/")) written.at("uri").warn("does not begin with a slash");
  return { uri, authority };
}

function readDestination(rule: Written, context: Context): ServiceRef | undefined {
  if (rule.destination === undefined) {
    if (!rule.has("destination")) rule.at().error("must have a destination");
    return undefined;
  }
  const destination = resolveService(rule.destination, context);
  if (destination === undefined) return undefined;
  if (Object.keys(destination.labels).length === 0) return destination;
  rule.at("destination").error("must have no labels: they belong to the entries of route");
  return undefined;
}

function readRoute(
  rule: Written,
  destination: ServiceRef | undefined,
  context: Context,
): readonly WeightedDestination[] {
  const entries = rule.route ?? [];
  const sum = entries.reduce((total, { weight = 0 }) => total + weight, 0);
  const single = entries.length === 1 && sum === 0;
  const complete = entries.every((entry) => !entry.has("weight") || entry.weight !== undefined);
  if (entries.length > 0 && complete && !single && sum !== 100)
    rule.at("route").error(`the weights must sum to 100, not ${sum}`);
  return entries.flatMap((entry) => {
    const named = entry.destination ? resolveService(entry.destination, context) : destination;
    if (named === undefined) return [];
    const labels = entry.has("labels") ? toRecord(entry.labels) : named.labels;
    const weight = single ? 100 : (entry.weight ?? 0);
    return [{ destination: { host: named.host, labels }, weight }];
  });
}

/** Actions that exclude each other. */
function checkTogether(rule: Written): void {
  const { redirect, rewrite } = rule;
  const empty = (part: ValueOf<typeof target>) =>
    (["uri", "authority"] as const).every((field) => !part.has(field) || part[field] === "");
  if (redirect && empty(redirect)) redirect.at().error("must have a uri or an authority");
  if (rewrite && empty(rewrite)) rewrite.at().error("must have a uri or an authority");
  if (!rule.has("redirect")) return;
  for (const field of ["rewrite", "httpFault"] as const)
    if (rule.has(field)) rule.at(field).error("must not stand beside a redirect");
  if ((rule.route ?? []).length > 0) rule.at("route").error("must not stand beside a redirect");
  if (rule.websocketUpgrade === true)
    rule.at("websocketUpgrade").error("must not stand beside a redirect");
}
