/**
 * Which route rules can never be reached: a rule before them takes every request that they could
 * match. Rules of a destination are tried by falling precedence, then by rising key.
 */
import { type ConfigOf, configKey } from "../model/config.ts";
import type { RouteRuleMatch, ServiceRef, StringMatch } from "../model/route-rule.ts";

type Rule = ConfigOf<"RouteRule">;

export interface Shadowed {
  readonly rule: Rule;
  readonly by: Rule;
}

/** Up to this many rules of one destination are compared with each other; else with those that
 * have no conditions, since comparing is quadratic. */
const comparedMax = 500;

export function shadowed(rules: readonly Rule[]): readonly Shadowed[] {
  const byHost = Map.groupBy(rules, ({ spec }) => spec.destination.host);
  return [...byHost.values()].flatMap((group) => {
    const all = group.length <= comparedMax;
    const before: Rule[] = [];
    return group.toSorted(byOrder).flatMap((rule) => {
      const { match } = rule.spec;
      const by = before.find(({ spec }) => covers(spec.match, match));
      // Behind a rule that covers it, it covers nothing that is not covered.
      if (by === undefined && (all || takesAll(match))) before.push(rule);
      return by === undefined ? [] : [{ rule, by }];
    });
  });
}

function byOrder(a: Rule, b: Rule): number {
  return b.spec.precedence - a.spec.precedence || (configKey(a) < configKey(b) ? -1 : 1);
}

/** Every request that matches `narrow` matches `wide`. */
function covers(wide: RouteRuleMatch, narrow: RouteRuleMatch): boolean {
  // Conditions on connections hold for no request.
  if (wide.tcp !== undefined || narrow.tcp !== undefined) return false;
  return (
    coversSource(wide.source, narrow.source) &&
    coversPath(wide.uri, narrow.uri) &&
    coversText(wide.scheme, narrow.scheme) &&
    coversText(wide.method, narrow.method) &&
    coversText(wide.authority, narrow.authority) &&
    Object.entries(wide.headers).every(([name, one]) => coversText(one, narrow.headers[name]))
  );
}

function takesAll({ uri, scheme, method, authority, headers, tcp }: RouteRuleMatch): boolean {
  const others = [scheme, method, authority, ...Object.values(headers)];
  return (
    tcp === undefined && others.every((one) => one === undefined) && coversPath(uri, undefined)
  );
}

function coversPath(wide: StringMatch | undefined, narrow: StringMatch | undefined): boolean {
  // A path always begins with a slash.
  const any = wide?.kind === "prefix" ? wide.value === "/" : wide?.kind === "regex" && isAny(wide);
  return any || coversText(wide, narrow);
}

function isAny({ value }: { readonly value: string }): boolean {
  return value === ".*" || value === "/.*";
}

function coversText(wide: StringMatch | undefined, narrow: StringMatch | undefined): boolean {
  if (wide === undefined) return true;
  if (narrow === undefined) return false;
  if (wide.kind === "present") return true;
  if (narrow.kind === "present") return false;
  if (wide.kind === narrow.kind && wide.value === narrow.value) return true;
  return wide.kind === "prefix" && narrow.kind !== "regex" && narrow.value.startsWith(wide.value);
}

/** Every caller that `narrow` means is meant by `wide`. */
function coversSource(wide: ServiceRef | undefined, narrow: ServiceRef | undefined): boolean {
  if (wide === undefined) return true;
  const anyHost = wide.host === "" || wide.host === "*";
  if (narrow === undefined || (!anyHost && wide.host !== narrow.host)) return false;
  return Object.entries(wide.labels).every(([key, value]) => narrow.labels[key] === value);
}
