/** LoadBalancerSettings of a TrafficPolicy. Spec table: manager 1.14. */
import { isPrime } from "../../core/prime.ts";
import type {
  ConsistentHash,
  HashCookie,
  LoadBalancerSettings,
  Warmup,
} from "../../model/destination-rule.ts";
import { list, message, type Reader, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import {
  duration,
  flag,
  integer,
  nanoseconds,
  number,
  oneOf,
  percent,
  text,
} from "../schema/scalar.ts";
import { locality, toLocality, zoneAware } from "./locality-setting.ts";

/** Ring sizes are 64 bits in proto; a proxy stops at a million. */
const size = integer({ least: 0, most: 2 ** 32 - 1 });
/** Envoy's: a prime below it. */
const TABLE_SIZE_MAX = 5_000_011;

const tableSize: Reader<number> = (place) => {
  const value = size(place);
  if (value === undefined) return undefined;
  if (value === 0 || (value < TABLE_SIZE_MAX && isPrime(value))) return value;
  place.error(`must be a prime below ${TABLE_SIZE_MAX}, not ${value}`);
  return undefined;
};

const cookie = message({
  name: text,
  path: text,
  ttl: nanoseconds,
  attributes: list(message({ name: text, value: text })),
});

const consistentHash = message({
  httpHeaderName: text,
  httpCookie: cookie,
  useSourceIp: flag,
  httpQueryParameterName: text,
  minimumRingSize: size,
  ringHash: message({ minimumRingSize: size }),
  maglev: message({ tableSize }),
});

const aggression: Reader<number> = (place) => {
  const value = number(place);
  if (value === undefined || value >= 1) return value;
  place.error(`must be at least 1, not ${value}`);
  return undefined;
};

const warmup = message({ duration: duration(), minimumPercent: percent, aggression });

export const loadBalancer = message({
  simple: oneOf(
    "UNSPECIFIED",
    "LEAST_CONN",
    "RANDOM",
    "PASSTHROUGH",
    "ROUND_ROBIN",
    "LEAST_REQUEST",
  ),
  consistentHash,
  localityLbSetting: locality,
  zoneAwareLbSetting: zoneAware,
  warmupDurationSecs: duration(),
  warmup,
});

type Written = NonNullable<ValueOf<typeof loadBalancer>>;

export function toLoadBalancer(written: Written): LoadBalancerSettings {
  const { consistentHash: hash, localityLbSetting: places } = written;
  if (written.has("simple") && written.has("consistentHash"))
    written.at("consistentHash").error("must not stand beside simple");
  if (written.has("localityLbSetting") && written.has("zoneAwareLbSetting"))
    written.at("zoneAwareLbSetting").error("must not stand beside localityLbSetting");
  const simple = simpleOf(written);
  const slow = warmupOf(written);
  return {
    ...(simple && { simple }),
    ...(hash && { consistentHash: toHash(hash) }),
    ...(places && { locality: toLocality(places) }),
    ...(slow && { warmup: slow }),
  };
}

function simpleOf(written: Written): LoadBalancerSettings["simple"] {
  switch (written.simple) {
    case "PASSTHROUGH":
      written.at("simple").warn("has no effect yet: least request is used");
      return undefined;
    case "LEAST_CONN":
    case "LEAST_REQUEST":
      return "LEAST_REQUEST";
    case "UNSPECIFIED":
      return undefined;
    default:
      return written.simple;
  }
}

function warmupOf(written: Written): Warmup | undefined {
  const { warmup: given, warmupDurationSecs } = written;
  if (written.has("warmup") && written.has("warmupDurationSecs"))
    written.at("warmupDurationSecs").error("must not stand beside warmup");
  if (given !== undefined && !given.has("duration"))
    written.at("warmup").error("must have a duration");
  const durationMs = given?.duration ?? warmupDurationSecs;
  if (durationMs === undefined) return undefined;
  const { minimumPercent = 10, aggression: speed = 1 } = given ?? {};
  return { durationMs, minimumPercent, aggression: speed };
}

function toHash(hash: NonNullable<ValueOf<typeof consistentHash>>): ConsistentHash {
  const keys = ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"] as const;
  refuseSecond(keys.filter((key) => hash.has(key)).map((key) => hash.at(key)));
  refuseSecond((["ringHash", "maglev"] as const).filter((k) => hash.has(k)).map((k) => hash.at(k)));
  const { httpHeaderName, useSourceIp, httpQueryParameterName, httpCookie } = hash;
  const ring = hash.ringHash?.minimumRingSize ?? hash.minimumRingSize ?? 0;
  checkName(hash.at("httpHeaderName"), httpHeaderName);
  const read = httpCookie && toCookie(httpCookie);
  return {
    ...(httpHeaderName !== undefined && { httpHeaderName }),
    ...(read && { httpCookie: read }),
    ...(useSourceIp && { useSourceIp }),
    ...(httpQueryParameterName !== undefined && { httpQueryParameterName }),
    ...(ring > 0 && { minimumRingSize: ring }),
    ...(hash.maglev && { maglevTableSize: hash.maglev.tableSize ?? 0 }),
  };
}

/** RFC 9110 5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 6265 4.1.1. */
const attributeText = /^[\x20-\x3a\x3c-\x7e]*$/;

function toCookie(cookie: NonNullable<ValueOf<typeof consistentHash>["httpCookie"]>): HashCookie {
  const { name = "", path = "", ttl, attributes = [] } = cookie;
  if (!cookie.has("name")) cookie.at().error("must have a name");
  else checkName(cookie.at("name"), cookie.name);
  if (!attributeText.test(path)) cookie.at("path").error(`"${path}" cannot be part of a cookie`);
  if (ttl !== undefined && ttl < 0n) cookie.at("ttl").error("must not be negative");
  const seen = new Set<string>();
  for (const attribute of attributes) {
    const key = (attribute.name ?? "").toLowerCase();
    checkName(attribute.at("name"), attribute.name ?? "");
    if (!attributeText.test(attribute.value ?? ""))
      attribute.at("value").error("cannot be part of a cookie");
    if (seen.has(key)) attribute.at("name").error(`"${attribute.name}" is given twice`);
    seen.add(key);
  }
  return {
    name,
    path,
    ...(ttl !== undefined && { ttlMs: Number(ttl / 1_000_000n) }),
    attributes: attributes.map((one) => ({ name: one.name ?? "", value: one.value ?? "" })),
  };
}

function refuseSecond(places: readonly Place[]): void {
  for (const place of places.slice(1)) place.error("must be the only one of its kind");
}

function checkName(place: Place, name: string | undefined): void {
  if (name !== undefined && !token.test(name)) place.error(`"${name}" is not a name`);
}
