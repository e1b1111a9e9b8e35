/**
 * The conditions of a route rule. `uri`, `scheme`, `method` and `authority` stand among the headers
 * and mean those parts of the request. Spec tables: manager 1.3, 1.5, 1.10.
 */
import { RE2JS } from "re2js";
import type { RouteRuleMatch, ServiceRef, StringMatch } from "../../model/route-rule.ts";
import { checkIpv4Subnet } from "../../model/validate-address.ts";
import { checkHeaderName } from "../../model/validate-http.ts";
import {
  type Entry,
  list,
  mapOf,
  message,
  type Reader,
  toRecord,
  type ValueOf,
} from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { text } from "../schema/scalar.ts";
import { type Context, labels, resolveService, serviceRef } from "./service-ref.ts";

const writtenString = message({ exact: text, prefix: text, regex: text });

/** Exactly one of exact, prefix and regex. */
export const stringMatch: Reader<StringMatch> = (place) => {
  const written = writtenString(place);
  if (written === undefined) return undefined;
  const kinds = (["exact", "prefix", "regex"] as const).filter((kind) => written.has(kind));
  const [kind, second] = kinds;
  if (kind === undefined) {
    place.error("must have one of exact, prefix and regex");
    return undefined;
  }
  if (second !== undefined) {
    written.at(second).error(`must not stand beside ${kind}`);
    return undefined;
  }
  const value = written[kind];
  if (value === undefined) return undefined;
  if (kind === "regex" && !checkRegex(written.at("regex"), value)) return undefined;
  return { kind, value };
};

const regexMax = 1_024;

export function checkRegex(place: Place, value: string): boolean {
  if (value.length > regexMax) {
    place.error(`must be at most ${regexMax} characters long`);
    return false;
  }
  try {
    RE2JS.compile(value);
    return true;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    place.error(`is not a regular expression in RE2 syntax: ${why}`, regexHint(value));
    return false;
  }
}

function regexHint(value: string): string | undefined {
  if (/\(\?(=|!|<=|<!)/.test(value)) return "look-around is not part of RE2: split the rule";
  return /\\[1-9]/.test(value) ? "back-references are not part of RE2" : undefined;
}

const layer4 = message({ sourceSubnet: list(text), destinationSubnet: list(text) });

const headers = mapOf(stringMatch);

const udp: Reader<never> = (place) => {
  place.error("is not supported: UDP was never routed");
  return undefined;
};

export const match = message({
  source: serviceRef,
  sourceTags: labels,
  tcp: layer4,
  udp,
  httpHeaders: headers,
  request: message({ headers }),
});

type Written = NonNullable<ValueOf<typeof match>>;

export function toMatch(written: Written | undefined, context: Context): RouteRuleMatch {
  if (written === undefined) return { headers: {} };
  if (written.has("httpHeaders") && written.request?.has("headers"))
    written.at("httpHeaders").error("must not stand beside request.headers");
  const entries = [...(written.httpHeaders ?? []), ...(written.request?.headers ?? [])];
  for (const entry of entries) checkHeader(entry);
  const byName = toRecord(entries);
  const { uri, scheme, method, authority, ...others } = byName;
  const source = toSource(written, context);
  return {
    ...(source && { source }),
    ...(uri && { uri }),
    ...(scheme && { scheme }),
    ...(method && { method }),
    ...(authority && { authority }),
    headers: others,
    ...(written.tcp && { tcp: toLayer4(written.tcp, context) }),
  };
}

function checkHeader({ key, value, at }: Entry<StringMatch>): void {
  at.check(checkHeaderName(key));
  if (key === "uri" && "value" in value && value.value === "") at.error("must not be empty");
}

/** The caller: a service, labels of it, or in the first release labels alone. */
function toSource(written: Written, context: Context): ServiceRef | undefined {
  const own = written.source && resolveService(written.source, context);
  if (written.source !== undefined && own === undefined) return undefined;
  if (own === undefined && written.sourceTags === undefined) return undefined;
  return { host: own?.host ?? "", labels: { ...own?.labels, ...toRecord(written.sourceTags) } };
}

function toLayer4(written: ValueOf<typeof layer4>, context: Context) {
  const shortest = context.era === "0.1" ? 1 : 0;
  const check = (field: "sourceSubnet" | "destinationSubnet"): readonly string[] => {
    const subnets = written[field] ?? [];
    for (const subnet of subnets) {
      const complaint = checkIpv4Subnet(subnet, shortest);
      if (complaint !== undefined) written.at(field).error(`"${subnet}" ${complaint}`);
    }
    return subnets;
  };
  written.at().warn("conditions on addresses match TCP connections only, never a request");
  return {
    sourceSubnets: check("sourceSubnet"),
    destinationSubnets: check("destinationSubnet"),
  };
}
