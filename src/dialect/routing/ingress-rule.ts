/**
 * IngressRule of `config.istio.io/v1alpha2`, which controllers made from Kubernetes Ingress: read
 * and checked, so that files that hold one are judged, and not applied. Spec table: manager 1.9.
 */

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

export function checkIngressRule(place: Place, context: Context): undefined {
  // In 0.1 they are route rules whose tags name ports and secrets.
  if (context.era === "0.1") readRouteRule(place, context);
  else checkWritten(place, context);
  place.warn("ingress rules are not applied yet: the document is left out");
  return undefined;
}

function checkWritten(place: Place, context: Context): void {
  const rule = written(place);
  if (rule === undefined) return;
  if (!rule.has("destination")) rule.at().error("must have a destination");
  const destination = rule.destination && resolveService(rule.destination, context);
  if (Object.keys(destination?.labels ?? {}).length > 0)
    rule.at("destination").error("must have no labels");
  toMatch(rule.match, context);
}
