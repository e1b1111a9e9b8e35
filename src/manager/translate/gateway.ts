/**
 * What a gateway runs on: for each host that rules let in a virtual host at port 80, and one at 443
 * where a certificate is named. Its routes are those of the destination, narrowed to the paths that
 * are let in, so that route rules hold for calls from outside too. Spec table: manager 1.9.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type GatewaySchema,
  Listener_Protocol,
  type Route,
  RouteMatchSchema,
  type StringMatch,
  StringMatchSchema,
  type TcpDestination,
  TcpDestinationSchema,
  type VirtualHost,
  VirtualHostSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { PathMatch } from "../../model/ingress.ts";
import type { Service, ServicePort } from "../../model/service.ts";
import { compare } from "../order.ts";
import { askedAuthorizers, askedKeyServers } from "./access-names.ts";
import { isHttpPort } from "./catalog.ts";
import { type EdgeRule, edgeRulesOf } from "./edge-rule.ts";
import { withAuthority } from "./egress-proxy.ts";
import { originOf } from "./origin.ts";
import { intersectPaths, rewriteFor } from "./path-intersection.ts";
import { ClusterCollector, type Plan, type PlanContext, planEgress, routesOf } from "./plan.ts";
import type { UseCluster } from "./route.ts";
import { isTcpPort, tcpRoutesOf } from "./tcp-route.ts";

export interface GatewayPlan extends Plan {
  readonly gateway: Pick<MessageInitShape<typeof GatewaySchema>, "listeners">;
}

const plainListener = { name: "http-80", port: 80, protocol: Listener_Protocol.HTTP };
const tlsListener = { name: "https-443", port: 443, protocol: Listener_Protocol.HTTPS };
type EdgeListener = typeof plainListener | typeof tlsListener;

export function planGateway(context: PlanContext): GatewayPlan {
  const rules = edgeRulesOf(context.rules.ingresses);
  const clusters = new ClusterCollector(context);
  const byTls = rules.filter(({ tlsSecret }) => tlsSecret !== "");
  const virtualHosts = [
    ...hostsOf(
      rules.filter(({ plain }) => plain),
      plainListener,
      { clusters, context },
    ),
    ...hostsOf(byTls, tlsListener, { clusters, context }),
  ];
  const outside = useAsked(clusters, context);
  const certificates = certificatesOf(byTls);
  const passing = rules.filter(({ passesTls }) => passesTls);
  const passesTls = passing.length > 0;
  const tcpDestinations = passedOn(passing, { clusters, context });
  const { clusters: used, hosts } = clusters.collected();
  return {
    virtualHosts,
    tcpDestinations,
    clusters: [...used, ...outside],
    hosts,
    gateway: {
      listeners: [
        plainListener,
        ...(certificates.length > 0 || passesTls
          ? [{ ...tlsListener, certificates, passesTls }]
          : []),
      ],
    },
  };
}

/** Authorizers and servers of keys, as far as anything is known of them: no route leads there. */
function useAsked(clusters: ClusterCollector, context: PlanContext): Plan["clusters"] {
  const { rules, catalog } = context;
  return [...askedAuthorizers(rules), ...askedKeyServers(rules)].flatMap(({ host, port }) => {
    if (catalog.service(host) !== undefined) clusters.use({ host, labels: {} }, port);
    const egress = rules.egressRules.find(({ spec }) => spec.service === host);
    const asked = egress === undefined ? [] : planEgress(egress, context).clusters;
    return asked.filter(({ key }) => key.port === port && !key.tunnel);
  });
}

interface Making {
  readonly clusters: ClusterCollector;
  readonly context: PlanContext;
}

function hostsOf(
  rules: readonly EdgeRule[],
  { name, port }: EdgeListener,
  making: Making,
): readonly VirtualHost[] {
  const byHost = Map.groupBy(rules, ({ authority }) => authority);
  return [...byHost].flatMap(([authority, own]) => {
    const routes = own.flatMap((rule) => edgeRoutes(rule, making));
    if (routes.length === 0) return [];
    const host = authority === "" ? "*" : authority;
    return create(VirtualHostSchema, {
      name: `${host}:${port}`,
      domains: authority === "" ? [host] : [host, `${host}:${port}`],
      routes,
      listener: name,
    });
  });
}

/** The destination's own routes as far as their paths are let in. None where it is not HTTP. */
function edgeRoutes(rule: EdgeRule, { clusters, context }: Making): readonly Route[] {
  const { host, port: written } = rule.backend;
  const port = httpPort(written, context.catalog.service(host));
  if (port === undefined) return [];
  const routes = routesOf(host, (to) => clusters.use(to, port), context);
  return routes.flatMap((route) => {
    const narrowed = narrow(route, rule);
    return narrowed === undefined
      ? []
      : [withAuthority(narrowed, (name) => clusters.authority(name))];
  });
}

/** By the name that TLS asks for. Of several rules for one host the first counts. */
function passedOn(
  rules: readonly EdgeRule[],
  { clusters, context }: Making,
): readonly TcpDestination[] {
  const byHost = Map.groupBy(rules, ({ authority }) => authority);
  return [...byHost.values()].flatMap(([rule]) => {
    const { authority, backend, config } = rule!;
    const port = tlsPort(backend.port, context.catalog.service(backend.host));
    if (port === undefined) return [];
    const use: UseCluster = (to) => clusters.use(to, port, true);
    const greeting = (name: string) => clusters.greeting(name);
    const routes = tcpRoutesOf(backend.host, { ...context, use, greeting });
    return create(TcpDestinationSchema, {
      name: `${authority}:${tlsListener.port}`,
      port: tlsListener.port,
      serverNames: [authority],
      routes: routes.map((route) => ({ ...route, origin: route.origin ?? originOf(config) })),
    });
  });
}

/** Of a service that nobody knows (yet) the number is taken as it is written. */
export function httpPort(
  written: number | string,
  service: Service | undefined,
): number | undefined {
  return portOf(written, service, isHttpPort);
}

/** As httpPort, for what is passed on as it is. */
export function tlsPort(
  written: number | string,
  service: Service | undefined,
): number | undefined {
  return portOf(written, service, isTcpPort);
}

function portOf(
  written: number | string,
  service: Service | undefined,
  isOfKind: (port: ServicePort) => boolean,
): number | undefined {
  if (service === undefined) return typeof written === "number" ? written : undefined;
  const ports = service.ports.filter(isOfKind);
  if (written === "") return ports.length === 1 ? ports[0]?.number : undefined;
  return ports.find(({ number, name }) => number === written || name === written)?.number;
}

function narrow(route: Route, rule: EdgeRule): Route | undefined {
  const own = pathOf(route.match?.path);
  const path = intersectPaths(rule.path, own);
  if (path === null) return undefined;
  const uri = route.rewrite?.uri ?? "";
  const rewritten = uri === "" ? "" : rewriteFor(uri, own, path);
  if (rewritten === undefined) return undefined;
  const match = route.match ?? create(RouteMatchSchema);
  return {
    ...route,
    // A default route is there because of the ingress.
    origin: route.origin ?? originOf(rule.config),
    match: path === undefined ? match : { ...match, path: stringMatchOf(path) },
    ...(route.rewrite !== undefined && { rewrite: { ...route.rewrite, uri: rewritten } }),
  };
}

function pathOf(match: StringMatch | undefined): PathMatch | undefined {
  const kind = match?.kind;
  if (kind?.case === undefined || kind.case === "present") return undefined;
  return { kind: kind.case, value: kind.value };
}

function stringMatchOf({ kind, value }: PathMatch): StringMatch {
  return create(StringMatchSchema, { kind: { case: kind, value } });
}

/** By rising name, each with the hosts that it is for; with one that is any host: for all. */
function certificatesOf(rules: readonly EdgeRule[]) {
  const bySecret = Map.groupBy(rules, ({ tlsSecret }) => tlsSecret);
  return [...bySecret]
    .sort(([a], [b]) => compare(a, b))
    .map(([name, own]) => {
      const hosts = [...new Set(own.map(({ authority }) => authority))];
      return { name, hosts: hosts.includes("") ? [] : hosts.sort(compare) };
    });
}
