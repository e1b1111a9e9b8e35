/**
 * What a rule does in a few words for tables, from its spec in canonical JSON:
 * "reviews", "end-user=jason → v2 + delay 2s". Tolerant: what it does not know it leaves out.
 */

import { summarizeAccess } from "./access-summary.ts";
import { type Json, list, record, text } from "./loose-json.ts";
import { summarizePolicy, summarizeTyped } from "./policy-summary.ts";

export interface RuleSummary {
  /** The service it is for. */
  readonly destination: string;
  readonly action: string;
}

export function summarize(kind: string, spec: unknown): RuleSummary {
  const rule = record(spec);
  switch (kind) {
    case "RouteRule":
      return { destination: serviceText(rule.destination), action: routeAction(rule) };
    case "DestinationPolicy":
      return { destination: serviceText(rule.destination), action: policyAction(rule) };
    case "DestinationRule":
      return { destination: shortHost(text(rule.host)), action: trafficText(rule.trafficPolicy) };
    case "EgressRule":
      return { destination: serviceText(rule.destination), action: portsText(rule.ports) };
    case "IngressRule":
      return { destination: serviceText(rule.destination), action: ingressAction(rule) };
    case "Ingress":
      return { destination: ingressHosts(rule), action: ingressBackends(rule) };
    case "ServiceEntry":
      return { destination: list(rule.hosts).join(","), action: portsText(rule.ports) };
    case "WorkloadEntry":
      return { destination: text(rule.address), action: pairs(record(rule.labels)) };
    default:
      return (
        summarizeAccess(kind, rule) ?? summarizePolicy(kind, rule) ?? summarizeTyped(kind, rule)
      );
  }
}

function routeAction(rule: Json): string {
  const parts: string[] = [];
  const targets = list(rule.route).map((entry) => {
    const { weight, labels, tags, destination } = record(entry);
    const version = pairs(record(labels ?? tags ?? record(destination).labels));
    const place = version === "" ? serviceText(destination) || "all" : version;
    return weight === undefined || weight === 0 ? place : `${place} ${weight}%`;
  });
  const redirect = record(rule.redirect);
  if (targets.length > 0) parts.push(targets.join(", "));
  if (rule.redirect !== undefined)
    parts.push(`redirect ${text(redirect.authority)}${text(redirect.uri)}`);
  if (rule.rewrite !== undefined) parts.push("rewrite");
  const fault = record(rule.httpFault);
  if (fault.delay !== undefined) parts.push(`delay ${text(record(fault.delay).fixedDelay)}`);
  if (fault.abort !== undefined) parts.push(`abort ${text(record(fault.abort).httpStatus)}`);
  if (rule.mirror !== undefined) parts.push(`mirror ${serviceText(rule.mirror)}`);
  if (rule.httpReqTimeout !== undefined)
    parts.push(`timeout ${text(record(record(rule.httpReqTimeout).simpleTimeout).timeout)}`);
  if (rule.httpReqRetries !== undefined)
    parts.push(`${text(record(record(rule.httpReqRetries).simpleRetry).attempts)} retries`);
  const condition = matchText(record(rule.match));
  const action = parts.length === 0 ? "default" : parts.join(" + ");
  return condition === "" ? action : `${condition} → ${action}`;
}

/** "authority=example.com uri^=/a → 9080" */
function ingressAction(rule: Json): string {
  const [route] = list(rule.route);
  const tags = record(record(route).tags);
  const port = rule.destinationPort ?? rule.destinationPortName;
  const to = text(port ?? tags.servicePortNum ?? tags.servicePortName) || "its HTTP port";
  const tls = text(rule.tlsSecret ?? tags.tlsSecret);
  const condition = matchText(record(rule.match));
  return `${condition === "" ? "" : `${condition} → `}${to}${tls === "" ? "" : ` + TLS ${tls}`}`;
}

function ingressHosts(ingress: Json): string {
  const hosts = list(ingress.rules).map((rule) => text(record(rule).host) || "*");
  return [...new Set(hosts)].join(",") || "*";
}

function ingressBackends(ingress: Json): string {
  const paths = list(ingress.rules).flatMap((rule) => list(record(record(rule).http).paths));
  const backends = [...paths.map((path) => record(path).backend), ingress.defaultBackend]
    .concat(ingress.backend)
    .filter((backend) => backend !== undefined)
    .map((backend) => {
      const { service, serviceName, servicePort } = record(backend);
      const { name, port } = record(service);
      const number = record(port).number ?? record(port).name ?? servicePort;
      return `${text(name ?? serviceName)}:${text(number)}`;
    });
  return [...new Set(backends)].join(", ");
}

function matchText(match: Json): string {
  const parts: string[] = [];
  if (match.source !== undefined) parts.push(`from ${serviceText(match.source)}`);
  const headers = record(record(match.request).headers ?? match.httpHeaders);
  for (const [name, value] of Object.entries(headers)) {
    const [kind, wanted] = Object.entries(record(value))[0] ?? ["", ""];
    const sign = kind === "prefix" ? "^=" : kind === "regex" ? "~" : "=";
    parts.push(`${name}${sign}${text(wanted)}`);
  }
  return parts.join(" ");
}

function policyAction(policy: Json): string {
  const parts: string[] = [];
  const balancing = text(record(policy.loadBalancing).name);
  if (balancing !== "") parts.push(balancing);
  const limits = record(record(policy.circuitBreaker).simpleCb);
  for (const [name, value] of Object.entries(limits)) parts.push(`${name}=${text(value)}`);
  return parts.join(" ");
}

/** "ROUND_ROBIN maxConnections=7 ejection" of a policy for all ports and subsets. */
function trafficText(value: unknown): string {
  const policy = record(value);
  const { simple, consistentHash } = record(policy.loadBalancer);
  const { tcp, http } = record(policy.connectionPool);
  return [
    text(simple),
    ...Object.keys(record(consistentHash)).map((by) => `hash by ${by}`),
    ...Object.entries({ ...record(tcp), ...record(http) }).map(
      ([name, limit]) => `${name}=${text(limit)}`,
    ),
    policy.outlierDetection === undefined ? "" : "ejection",
  ]
    .filter((part) => part !== "")
    .join(" ");
}

function portsText(ports: unknown): string {
  return list(ports)
    .map(
      (port) => `${text(record(port).port ?? record(port).number)}/${text(record(port).protocol)}`,
    )
    .join(", ");
}

/** "reviews" of { name }, { service } or a plain host name, with labels in brackets. */
function serviceText(value: unknown): string {
  if (typeof value === "string") return shortHost(value);
  const { name, service, namespace, labels } = record(value);
  const host = text(name) === "" ? shortHost(text(service)) : text(name);
  const place = text(namespace) === "" ? host : `${host}.${text(namespace)}`;
  const chosen = pairs(record(labels));
  return chosen === "" ? place : `${place}[${chosen}]`;
}

/** "reviews.default" of "reviews.default.svc.cluster.local". */
export function shortHost(host: string): string {
  return host.replace(/\.svc\.cluster\.local$/, "");
}

function pairs(labels: Json): string {
  const entries = Object.entries(labels);
  const only = entries.length === 1 ? entries[0] : undefined;
  if (only?.[0] === "version") return text(only[1]);
  return entries.map(([key, value]) => `${key}=${text(value)}`).join(",");
}
