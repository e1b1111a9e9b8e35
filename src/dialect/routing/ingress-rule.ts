/**
 * IngressRule of `config.istio.io/v1alpha2`, which controllers made from Kubernetes Ingress, and
 * `ingress-rule` of 0.1: a route rule whose tags name port and certificate. Spec: manager 1.9.
 */
import type { IngressBackend, IngressRule } from "../../model/ingress.ts";
import type { RouteRule, RouteRuleMatch } from "../../model/route-rule.ts";
import { message } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { integer, text } from "../schema/scalar.ts";
import { match, toMatch } from "./route-match.ts";
import { readRouteRule } from "./route-rule.ts";
import { type Context, resolveService, serviceRef } from "./service-ref.ts";

const written = message({
  port: integer({ least: 0, most: 65_535 }),
  tlsSecret: text,
  precedence: integer(),
  match,
  destination: serviceRef,
  destinationPort: integer({ least: 1, most: 65_535 }),
  destinationServicePort: integer({ least: 1, most: 65_535 }),
  destinationPortName: text,
});

/** Undefined after the problems have been reported. */
export function readIngressRule(place: Place, context: Context): IngressRule | undefined {
  if (context.era === "0.1") return readTagged(place, context);
  const rule = written(place);
  if (rule === undefined) return undefined;
  if (!rule.has("destination")) rule.at().error("must have a destination");
  const destination = rule.destination && resolveService(rule.destination, context);
  if (Object.keys(destination?.labels ?? {}).length > 0)
    rule.at("destination").error("must have no labels");
  const { destinationPortName: name, destinationPort, destinationServicePort } = rule;
  if (name !== undefined && (destinationPort ?? destinationServicePort) !== undefined)
    rule.at("destinationPortName").error("must not stand beside destinationPort");
  const conditions = toConditions(toMatch(rule.match, context), rule.at("match"));
  if (destination === undefined) return undefined;
  return {
    precedence: rule.precedence ?? 0,
    ...conditions,
    backend: {
      host: destination.host,
      port: destinationPort ?? destinationServicePort ?? name ?? "",
    },
    tlsSecret: rule.tlsSecret ?? "",
  };
}

/** "servicePortName", "servicePortNum" and "tlsSecret" among the tags of its one route. */
function readTagged(place: Place, context: Context): IngressRule | undefined {
  const rule = readRouteRule(place, context);
  if (rule === undefined) return undefined;
  const tags = rule.route[0]?.destination.labels ?? {};
  checkRouteAlone(rule, place);
  return {
    precedence: rule.precedence,
    ...toConditions(rule.match, place),
    backend: { host: rule.destination.host, port: portOf(tags, place) },
    tlsSecret: tags.tlsSecret ?? "",
  };
}

function checkRouteAlone({ route, redirect, rewrite }: RouteRule, place: Place): void {
  if (route.length > 1) place.error("an ingress rule has one route");
  if ((redirect ?? rewrite) !== undefined)
    place.error("an ingress rule has no redirect and no rewrite: write a route rule");
}

function portOf(tags: Readonly<Record<string, string>>, place: Place): IngressBackend["port"] {
  const { servicePortName, servicePortNum } = tags;
  if (servicePortNum === undefined) return servicePortName ?? "";
  const number = Number(servicePortNum);
  if (Number.isInteger(number) && number >= 1 && number <= 65_535) return number;
  place.error(`servicePortNum must be a port, not ${JSON.stringify(servicePortNum)}`);
  return "";
}

/** Of a request's parts, host and path are all that an ingress goes by. */
function toConditions(
  { uri, authority, source, scheme, method, headers, tcp }: RouteRuleMatch,
  place: Place,
): Pick<IngressRule, "authority" | "path"> {
  const others = [...Object.keys(headers), scheme && "scheme", method && "method"].filter(Boolean);
  if (others.length > 0)
    place.error(`an ingress rule has conditions on uri and authority alone, not ${others}`);
  if ((source ?? tcp) !== undefined)
    place.error("an ingress rule has no condition on who calls: write a route rule");
  if (authority !== undefined && authority.kind !== "exact")
    place.error("the authority of an ingress rule must be exact");
  const path = uri !== undefined && uri.kind !== "present" ? uri : undefined;
  return {
    authority: authority?.kind === "exact" ? authority.value.toLowerCase() : "",
    ...(path && { path }),
  };
}
