/** How a cluster's endpoints are asked whether they are well. */
import type { HealthCheck, HealthCheck_Http } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { HealthCheckPolicy, Probe } from "../cluster/health/health-check.ts";
import type { ProblemList } from "./problem-list.ts";

const TIMEOUT_MS = 1_000;
const INTERVAL_MS = 10_000;
const NO_TRAFFIC_INTERVAL_MS = 60_000;
/** A proxy that asks more often is a flood. */
const INTERVAL_MS_MIN = 10;
const NAME_MAX = 1_024;

export function compileHealthCheck(
  resource: HealthCheck | undefined,
  problems: ProblemList,
): { readonly healthCheck?: HealthCheckPolicy } {
  if (resource === undefined) return {};
  const probe = probeOf(resource.by, problems);
  if (resource.port > 65_535) problems.at("port").add(`${resource.port} is not a port`);
  if (probe === undefined) return {};
  const intervalMs = Math.max(INTERVAL_MS_MIN, resource.intervalMs || INTERVAL_MS);
  return {
    healthCheck: {
      probe,
      timeoutMs: resource.timeoutMs || TIMEOUT_MS,
      intervalMs,
      jitterMs: resource.jitterMs ?? intervalMs / 10,
      noTrafficIntervalMs:
        resource.noTrafficIntervalMs || Math.max(intervalMs, NO_TRAFFIC_INTERVAL_MS),
      unhealthyIntervalMs: resource.unhealthyIntervalMs,
      unhealthyThreshold: resource.unhealthyThreshold || 3,
      healthyThreshold: resource.healthyThreshold || 2,
      port: resource.port,
      plaintext: resource.plaintext,
    },
  };
}

function probeOf(by: HealthCheck["by"], problems: ProblemList): Probe | undefined {
  switch (by.case) {
    case "http":
      return httpProbeOf(by.value, problems.at("http"));
    case "tcp":
      return { by: "tcp", send: by.value.send, receive: by.value.receive };
    case "grpc":
      if (by.value.service.length > NAME_MAX)
        problems.at("grpc.service").add(`is longer than ${NAME_MAX} characters`);
      if (!authority.test(by.value.authority))
        problems.at("grpc.authority").add(`"${by.value.authority}" is not a host`);
      return { by: "grpc", service: by.value.service, authority: by.value.authority };
    case undefined:
      problems.add("a health check asks by HTTP, TCP or gRPC");
      return undefined;
    default:
      return by satisfies never;
  }
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const target = /^\/[\x21-\x7e]*$/;
const fieldValue = /^[\x21-\x7e\t ]*$/;
const authority = /^[\x21-\x7e]*$/;

function httpProbeOf(resource: HealthCheck_Http, problems: ProblemList): Probe {
  const { method, path, host, headers, expected } = resource;
  if (method !== "" && !token.test(method)) problems.at("method").add(`"${method}" is no method`);
  if (method === "CONNECT") problems.at("method").add("CONNECT asks for a tunnel, not for health");
  if (!target.test(path)) problems.at("path").add(`"${path}" is not a path`);
  if (!authority.test(host)) problems.at("host").add(`"${host}" is not a host`);
  for (const { name, value } of headers)
    if (!token.test(name) || !fieldValue.test(value))
      problems.at("headers").add(`"${name}: ${value}" is not a field`);
  for (const { from, to } of expected)
    if (from < 200 || to > 599 || from > to)
      problems.at("expected").add(`${from} to ${to} is not a range of final statuses`);
  return {
    by: "http",
    method: method || "GET",
    path,
    host,
    headers: headers.map(({ name, value }) => [name, value] as const),
    expected: expected.length === 0 ? [[200, 200]] : expected.map(({ from, to }) => [from, to]),
  };
}
