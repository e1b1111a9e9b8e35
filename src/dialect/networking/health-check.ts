/**
 * `healthCheck` of a TrafficPolicy: how callers' proxies ask the instances. No dialect has a word
 * for it; these are Envoy's, with the durations of DestinationRules.
 */
import type { HealthCheckSettings, HealthProbe } from "../../model/health-check.ts";
import {
  checkAuthority,
  checkHeaderName,
  checkHeaderValue,
  checkMethod,
  checkPath,
} from "../../model/validate-http.ts";
import type { Complaint } from "../../model/validate-name.ts";
import { list, mapOf, message, type Reader, toRecord, type ValueOf } from "../schema/message.ts";
import { checkedText, duration, flag, integer, text } from "../schema/scalar.ts";
import { portNumber } from "./workload-entry.ts";

const NAME_MAX = 1_024;
const threshold = integer({ least: 1, most: 1_000 });
const host = checkedText(checkAuthority);

const headers: Reader<Readonly<Record<string, string>>> = (place) => {
  const entries = mapOf(checkedText(checkHeaderValue))(place);
  for (const { key, at } of entries ?? []) {
    const complaint = key === "host" ? "is what `host` is for" : checkHeaderName(key);
    if (complaint !== undefined) at.error(`"${key}" ${complaint}`);
  }
  return entries && toRecord(entries);
};

const http = message({
  path: checkedText((value) => (value.startsWith("/") ? checkPath(value) : 'must begin with "/"')),
  method: checkedText((value) =>
    value === "CONNECT" ? "asks for a tunnel, not for health" : checkMethod(value),
  ),
  host,
  headers,
  expectedStatuses: list(checkedText(checkStatuses)),
});

const tcp = message({ send: text, receive: list(text) });

const grpc = message({
  serviceName: checkedText((value) =>
    value.length > NAME_MAX ? `is longer than ${NAME_MAX} characters` : undefined,
  ),
  authority: host,
});

const written = message({
  ...{ http, tcp, grpc },
  interval: duration(),
  timeout: duration(),
  jitter: duration((value) => (value < 0n ? "must not be negative" : undefined)),
  noTrafficInterval: duration(),
  unhealthyInterval: duration(),
  unhealthyThreshold: threshold,
  healthyThreshold: threshold,
  port: portNumber,
  plaintext: flag,
});

type Written = NonNullable<ValueOf<typeof written>>;

/** "200", "200-299" */
function checkStatuses(value: string): Complaint {
  const [, from, to = from] = /^(\d{3})(?:-(\d{3}))?$/.exec(value) ?? [];
  if (from === undefined || to === undefined)
    return 'is not a status ("200") or a range ("200-299")';
  const isFinal = Number(from) >= 200 && Number(to) <= 599;
  return isFinal && from <= to ? undefined : "is not a range of statuses from 200 to 599";
}

/** Undefined after the problems have been reported. */
export const healthCheck: Reader<HealthCheckSettings> = (place) => {
  const check = written(place);
  if (check === undefined) return undefined;
  const probe = probeOf(check);
  if (probe === undefined) return undefined;
  const { interval, timeout, jitter, noTrafficInterval, unhealthyInterval } = check;
  const { unhealthyThreshold, healthyThreshold, port, plaintext = false } = check;
  const times = {
    ...{ intervalMs: interval, timeoutMs: timeout, jitterMs: jitter },
    ...{ noTrafficIntervalMs: noTrafficInterval, unhealthyIntervalMs: unhealthyInterval },
    ...{ unhealthyThreshold, healthyThreshold, port },
  };
  const said = Object.entries(times).filter(([, value]) => value !== undefined);
  return { probe, plaintext, ...Object.fromEntries(said) };
};

function probeOf(check: Written): HealthProbe | undefined {
  const ways = (["http", "tcp", "grpc"] as const).filter((way) => check.has(way));
  const [way, ...others] = ways;
  if (way === undefined) {
    check.at().error("must have http, tcp or grpc", "it says how instances are asked");
    return undefined;
  }
  for (const other of others) check.at(other).error(`must not stand beside ${way}`);
  if (way === "http" && check.http !== undefined) return httpOf(check.http);
  if (way === "tcp" && check.tcp !== undefined) {
    const { send, receive = [] } = check.tcp;
    return { by: "tcp", receive, ...(send !== undefined && { send }) };
  }
  if (check.grpc === undefined) return undefined;
  const { serviceName, authority } = check.grpc;
  return {
    by: "grpc",
    ...(serviceName !== undefined && { serviceName }),
    ...(authority !== undefined && { authority }),
  };
}

function httpOf(asked: NonNullable<Written["http"]>): HealthProbe | undefined {
  const { path, method, host: authority, headers: fields = {}, expectedStatuses = [] } = asked;
  if (path === undefined) {
    if (!asked.has("path")) asked.at().error("must have a path");
    return undefined;
  }
  return {
    ...{ by: "http", path, headers: fields, expectedStatuses },
    ...(method !== undefined && { method }),
    ...(authority !== undefined && { host: authority }),
  };
}
