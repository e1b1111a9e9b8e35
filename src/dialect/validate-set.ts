/**
 * What can only be seen across objects: names used twice, rules that can never be reached,
 * destinations that nobody knows, policies on versions that nothing routes to.
 */
import type { Problem } from "../core/problem.ts";
import { nearest } from "../core/suggestion.ts";
import { type Config, type ConfigOf, configKey, ofKind } from "../model/config.ts";
import { policiesOf } from "../model/destination-policy.ts";
import { isHostWithin } from "../model/host-name.ts";
import type { Ingress, IngressBackend } from "../model/ingress.ts";
import type { ServiceRef } from "../model/route-rule.ts";
import { aspectProblems } from "./policy/aspect/aspect-problem.ts";
import { accessProblems } from "./security/access-problem.ts";
import { shadowed } from "./shadow.ts";

export interface Known {
  /** Full host names of the registries. Absent: unknown, so that no reference is judged. */
  readonly hosts?: ReadonlySet<string>;
}

/** Problems between the objects of one whole set (what is stored, with what is being put). */
export function validateSet(configs: readonly Config[], known: Known): readonly Problem[] {
  return [
    ...duplicates(configs),
    ...unknownHosts(configs, known),
    ...unreachable(ofKind(configs, "RouteRule")),
    ...unroutedPolicies(configs),
    ...egressConflicts(ofKind(configs, "EgressRule")),
    ...aspectProblems(configs),
    ...accessProblems(configs, known.hosts !== undefined),
    ...severalMeshConfigs(ofKind(configs, "MeshConfig")),
  ];
}

function problem(
  config: Config,
  severity: Problem["severity"],
  rest: Pick<Problem, "path" | "message" | "suggestion">,
): Problem {
  const [, field = ""] = /^spec\.(\w+)/.exec(rest.path) ?? [];
  return { severity, position: config.fields?.[field] ?? config.origin, ...rest };
}

function place({ origin: { file, line } }: Config): string {
  return `${file}:${line}`;
}

function duplicates(configs: readonly Config[]): readonly Problem[] {
  const first = new Map<string, Config>();
  return configs.flatMap((config) => {
    const key = configKey(config);
    const other = first.get(key);
    if (other === undefined) {
      first.set(key, config);
      return [];
    }
    const message = `${key} is also at ${place(other)}`;
    return [problem(config, "error", { path: "metadata.name", message })];
  });
}

/** Names that rules lead to or start from, and where each stands in its spec. */
function references(config: Config): readonly (readonly [path: string, ref: ServiceRef])[] {
  if (config.kind === "RouteRule") {
    const { destination, route, mirror, match } = config.spec;
    return [
      ["spec.destination", destination],
      ...route.map(({ destination: to }, i) => [`spec.route[${i}].destination`, to] as const),
      ...(mirror ? [["spec.mirror", mirror] as const] : []),
      ...(match.source ? [["spec.match.source", match.source] as const] : []),
    ];
  }
  if (config.kind === "IngressRule")
    return [["spec.destination", { host: config.spec.backend.host, labels: {} }]];
  if (config.kind === "Ingress") return ingressReferences(config.spec);
  if (config.kind === "DestinationRule") {
    const { host } = config.spec;
    return host.startsWith("*") ? [] : [["spec.host", { host, labels: {} }]];
  }
  if (config.kind !== "DestinationPolicy") return [];
  const { destination, source } = config.spec;
  return [["spec.destination", destination], ...(source ? [["spec.source", source] as const] : [])];
}

function ingressReferences({ defaultBackend, rules }: Ingress) {
  const of = ({ host }: IngressBackend): ServiceRef => ({ host, labels: {} });
  return [
    ...(defaultBackend ? [["spec.defaultBackend", of(defaultBackend)] as const] : []),
    ...rules.flatMap(({ paths }, i) =>
      paths.map(
        ({ backend }, j) => [`spec.rules[${i}].http.paths[${j}].backend`, of(backend)] as const,
      ),
    ),
  ];
}

/** Each is compared with every known host. */
const suggestionsMax = 5;

function unknownHosts(configs: readonly Config[], known: Known): readonly Problem[] {
  if (known.hosts === undefined) return [];
  const hosts = new Set([...known.hosts, ...declaredHosts(configs)]);
  let suggestions = suggestionsMax;
  const patterns = [...hosts].filter((host) => host.startsWith("*"));
  const isKnown = ({ host }: ServiceRef): boolean =>
    host === "" || hosts.has(host) || patterns.some((one) => isHostWithin(host, one));
  return configs.flatMap((config) => {
    const seen = new Set<string>();
    return references(config).flatMap(([path, ref]) => {
      if (isKnown(ref) || seen.has(ref.host)) return [];
      seen.add(ref.host);
      const near = suggestions-- > 0 ? nearestHost(ref.host, hosts) : undefined;
      const suggestion = near === undefined ? {} : { suggestion: `did you mean ${near}?` };
      const message = `no service ${ref.host} is known`;
      return [problem(config, "warning", { path, message, ...suggestion })];
    });
  });
}

/** The full name of a short one, else what is spelled alike. */
function nearestHost(host: string, hosts: ReadonlySet<string>): string | undefined {
  return [...hosts].find((one) => one.startsWith(`${host}.`)) ?? nearest(host, hosts);
}

function declaredHosts(configs: readonly Config[]): readonly string[] {
  return configs.flatMap((config) => {
    if (config.kind === "ServiceEntry") return config.spec.hosts;
    return config.kind === "EgressRule" ? [config.spec.service] : [];
  });
}

function unreachable(rules: readonly ConfigOf<"RouteRule">[]): readonly Problem[] {
  return shadowed(rules).flatMap(({ rule, by }) => {
    // Written twice, which is told already.
    if (configKey(rule) === configKey(by)) return [];
    const first = `${configKey(by)} (${place(by)})`;
    const message = `is never reached: ${first} takes every request that it matches`;
    const suggestion = `give it a precedence above ${by.spec.precedence}`;
    return [problem(rule, "warning", { path: "spec.precedence", message, suggestion })];
  });
}

/** A policy on labels acts on the cluster that a rule makes of those labels, and else on none. */
function unroutedPolicies(configs: readonly Config[]): readonly Problem[] {
  const routed = new Set(
    ofKind(configs, "RouteRule").flatMap(({ spec }) =>
      [
        ...spec.route.map(({ destination }) => destination),
        ...(spec.mirror ? [spec.mirror] : []),
      ].map(clusterOf),
    ),
  );
  return ofKind(configs, "DestinationPolicy").flatMap((config) =>
    policiesOf(config.spec).flatMap(({ destination }, i) => {
      const { host, labels } = destination;
      if (Object.keys(labels).length === 0 || routed.has(clusterOf(destination))) return [];
      const message = `has no effect: no route rule names ${labelText(destination)} of ${host}`;
      const listed = config.fields?.policy !== undefined;
      const path = listed ? `spec.policy[${i}]` : "spec.destination.labels";
      return [problem(config, "warning", { path, message })];
    }),
  );
}

function clusterOf(ref: ServiceRef): string {
  return `${ref.host}|${labelText(ref)}`;
}

function labelText({ labels }: ServiceRef): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
}

/** Of two rules for one domain, or for one port of a block, the one with the smaller key acts. */
function egressConflicts(rules: readonly ConfigOf<"EgressRule">[]): readonly Problem[] {
  const first = new Map<string, Config>();
  return rules
    .toSorted((a, b) => (configKey(a) < configKey(b) ? -1 : 1))
    .flatMap((rule) => {
      const { service, ports } = rule.spec;
      const claims = ports.map(({ port, protocol }) =>
        protocol === "tcp" || protocol === "mongo" ? `${service}:${port}` : service,
      );
      const claim = claims.find((one) => first.has(one));
      for (const one of claims) if (!first.has(one)) first.set(one, rule);
      if (claim === undefined) return [];
      const other = first.get(claim)!;
      const message = `is left out: ${configKey(other)} (${place(other)}) already claims ${claim}`;
      return [problem(rule, "warning", { path: "spec.destination.service", message })];
    });
}

function severalMeshConfigs(configs: readonly ConfigOf<"MeshConfig">[]): readonly Problem[] {
  const [first, ...others] = configs;
  return others
    .filter((config) => configKey(config) !== configKey(first!))
    .map((config) =>
      problem(config, "error", {
        path: "",
        message: `a mesh has one MeshConfig: ${place(first!)}`,
      }),
    );
}
