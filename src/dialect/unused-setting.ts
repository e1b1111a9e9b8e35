/**
 * Settings of current releases that this mesh does not obey (yet): judged as Istio judges them, so
 * that a mistake shows. Spec table: manager 3.
 */
import { STATUS_CODES } from "node:http";
import { checkProxyAddress } from "../model/validate-address.ts";
import { checkDuration } from "../model/validate-duration.ts";
import { checkModernDomain } from "../model/validate-name.ts";
import { trafficPolicy } from "./networking/traffic-policy.ts";
import { choice, whole } from "./schema/choice.ts";
import { list, mapOf, message, type Reader } from "./schema/message.ts";
import type { Place } from "./schema/place.ts";
import {
  checkedText,
  duration,
  flag,
  integer,
  nanoseconds,
  nonEmpty,
  percent,
  text,
} from "./schema/scalar.ts";

const anything: Reader<true> = () => true;

/** Of a collector; the machine's own address may stand in it by name. */
const collector = checkedText((value) =>
  checkProxyAddress(value.replace("$(HOST_IP)", "127.0.0.1")),
);

export const customTag = choice({
  literal: whole({ value: nonEmpty }, "value"),
  environment: whole({ name: nonEmpty, defaultValue: text }, "name"),
  header: whole({ name: nonEmpty, defaultValue: text }, "name"),
  formatter: whole({ value: nonEmpty }, "value"),
});

export const tracing = message({
  zipkin: whole({ address: collector }, "address"),
  lightstep: whole({ address: collector, accessToken: nonEmpty }, "address", "accessToken"),
  datadog: whole({ address: collector }, "address"),
  stackdriver: anything,
  openCensusAgent: anything,
  customTags: mapOf(customTag),
  maxPathTagLength: integer({ least: 0 }),
  sampling: percent,
  tlsSettings: anything,
  enableIstioTags: flag,
});

/** Where Envoy's own streams of logs and metrics go. */
export const envoyService = message({
  address: checkedText((value) => (value === "" ? undefined : checkProxyAddress(value))),
  tlsSettings: anything,
  tcpKeepalive: anything,
});

const pollDelay: Reader<bigint> = (place) => {
  const value = nanoseconds(place);
  if (value === undefined || value > 0n) return value;
  place.error("must be more than 0s");
  return undefined;
};
const accelerator = whole({ pollDelay, fallback: flag }, "pollDelay");

export const privateKeyProvider = choice({ cryptomb: accelerator, qat: accelerator });

/** 0: no limit. */
export const detectionTimeout = duration((value) =>
  value === 0n ? undefined : checkDuration(value),
);

/** Of Envoy; a condition may be a status too. */
const retryConditions: ReadonlySet<string> = new Set(
  (
    "5xx gateway-error reset reset-before-request connect-failure retriable-4xx refused-stream " +
    "retriable-status-codes retriable-headers envoy-ratelimited http3-post-connect-failure " +
    "cancelled deadline-exceeded internal resource-exhausted unavailable"
  ).split(" "),
);

const retryOn: Reader<string> = (place) => {
  const value = text(place);
  for (const condition of value === undefined || value === "" ? [] : value.split(",")) {
    const known = retryConditions.has(condition) || STATUS_CODES[condition] !== undefined;
    if (!known) place.error(`"${condition}" is neither a condition nor a status`);
  }
  return value;
};

const retries = message({
  attempts: integer({ least: 0 }),
  perTryTimeout: duration(),
  retryOn,
  backoff: duration(),
  retryRemoteLocalities: flag,
  retryIgnorePreviousHosts: flag,
});

/** What it says of retries means nothing where there are none. */
export const retryPolicy: Reader<Place> = (place) => {
  const policy = retries(place);
  if (policy === undefined) return undefined;
  const rest = ["perTryTimeout", "retryOn", "backoff", "retryRemoteLocalities"] as const;
  if ((policy.attempts ?? 0) === 0)
    for (const field of rest)
      if (policy.has(field)) policy.at(field).error("must not be given where attempts are 0");
  return place;
};

const hostPattern = checkedText((value) => checkModernDomain(value, "wildcard"));

export const serviceSettings = list(
  message({ settings: message({ clusterLocal: flag }), hosts: list(hostPattern) }),
);

/** Of all destinations that no DestinationRule speaks of. */
export const defaultTrafficPolicy = trafficPolicy;
