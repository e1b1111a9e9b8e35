/** Pages that show what the proxy runs on: the whole, listeners, routes, clusters. */
import { toJson } from "@bufbuild/protobuf";
import { ProxyConfigSchema, type SourcePosition } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { json, type Page, text, wantsJson } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";

export const configPages: readonly Page[] = [
  {
    path: "/config_dump",
    method: "GET",
    about: "the configuration in force, as JSON, with where each part was written",
    answer: configDump,
  },
  {
    path: "/listeners",
    method: "GET",
    about: "bound addresses (?format=json)",
    answer: (view, query) => {
      const listeners = view.listeners();
      if (wantsJson(query)) return json(listeners);
      return text(listeners.map(({ name, address }) => `${name}::${address}`).join("\n"));
    },
  },
  {
    path: "/routes",
    method: "GET",
    about: "routes in order of evaluation, with their rule's file and line (?format=json)",
    answer: routes,
  },
  {
    path: "/clusters",
    method: "GET",
    about: "clusters, their endpoints and health (?format=json)",
    answer: clusters,
  },
  {
    path: "/certs",
    method: "GET",
    about: "certificates of this workload",
    answer: () => json({ certificates: [] }),
  },
];

function configDump(view: ProxyView): Response {
  const config = view.config();
  const discovery = view.discovery();
  return json({
    node: view.node,
    version: config?.version ?? "",
    source: view.configSource(),
    manager: discovery ?? null,
    registration: view.registration() ?? null,
    listeners: view.listeners(),
    config: config === undefined ? {} : toJson(ProxyConfigSchema, config),
  });
}

function routes(view: ProxyView, query: URLSearchParams): Response {
  const hosts = view.config()?.virtualHosts ?? [];
  if (wantsJson(query)) {
    return json(
      hosts.map(({ name, domains, routes: own }) => ({
        name,
        domains,
        routes: own.map((route) => ({ name: route.name, origin: placeOf(route.origin) })),
      })),
    );
  }
  const lines = hosts.flatMap(({ name, domains, routes: own }) => [
    `${name}: ${domains.join(", ")}`,
    ...own.map((route, i) => {
      const to = route.action.case === "forward" ? targets(route.action.value.clusters) : "";
      const action = to === "" ? (route.action.case ?? "nothing") : to;
      const place = inBrackets(placeOf(route.origin));
      return `  ${i + 1}. ${route.name || "(unnamed)"} -> ${action}${place}`;
    }),
  ]);
  return text([...lines, ...tcpLines(view)].join("\n"));
}

/** Of connections that are passed on as they are. */
function tcpLines(view: ProxyView): string[] {
  return (view.config()?.tcpDestinations ?? []).flatMap((destination) => {
    const { name, port, addresses, serverNames, routes: own } = destination;
    const names = [...addresses, ...serverNames.map((one) => `TLS for ${one}`)];
    return [
      `tcp ${name}: ${names.length === 0 ? `port ${port}` : names.join(", ")}`,
      ...own.map((route, i) => {
        const place = inBrackets(placeOf(route.origin));
        return `  ${i + 1}. ${route.name} -> ${targets(route.clusters)}${place}`;
      }),
    ];
  });
}

function targets(weighted: readonly { cluster: string; weight: number }[]): string {
  if (weighted.length === 1) return weighted[0]!.cluster;
  return weighted.map(({ cluster, weight }) => `${weight}% ${cluster}`).join(", ");
}

/** "rules/a.yaml:3:5 RouteRule/default/canary" */
function placeOf(origin: SourcePosition | undefined): string {
  if (origin === undefined) return "";
  const place = [origin.file, origin.line, origin.column].filter((part) => part !== 0).join(":");
  return `${place} ${origin.object}`.trim();
}

function inBrackets(words: string): string {
  return words === "" ? "" : ` (${words})`;
}

function clusters(view: ProxyView, query: URLSearchParams): Response {
  const all = [...(view.snapshot()?.clusters.values() ?? [])];
  if (wantsJson(query)) return json(all.map(clusterJson));
  return text(all.flatMap(clusterLines).join("\n"));
}

function clusterJson(cluster: Cluster): unknown {
  const { name, settings } = cluster;
  return {
    name,
    service: settings.service,
    port: settings.port,
    labels: settings.labels,
    discovery: settings.discovery,
    protocol: settings.protocol,
    loadBalancer: settings.loadBalancer,
    panics: cluster.panics,
    origins: settings.origins,
    endpoints: cluster.endpoints.map((endpoint) => ({
      address: endpoint.authority,
      ...endpoint.facts,
      health: healthOf(endpoint),
      weight: endpoint.weight,
      healthCheck: endpoint.check,
      activeRequests: endpoint.active,
      consecutiveErrors: endpoint.consecutiveErrors,
    })),
  };
}

/** In the form that Envoy's users grep. */
function clusterLines(cluster: Cluster): string[] {
  const { name, settings } = cluster;
  return [
    `${name}::discovery::${settings.discovery}`,
    `${name}::load_balancer::${settings.loadBalancer}`,
    ...(cluster.panics ? [`${name}::panic::true`] : []),
    ...settings.origins.map((origin) => `${name}::origin::${origin}`),
    ...cluster.endpoints.flatMap((endpoint) => {
      const line = (key: string, value: string | number): string =>
        `${name}::${endpoint.authority}::${key}::${value}`;
      return [
        line("health_flags", healthOf(endpoint)),
        line("rq_active", endpoint.active),
        line("weight", endpoint.weight),
        ...(endpoint.facts.locality === "" ? [] : [line("locality", endpoint.facts.locality)]),
        line("workload", endpoint.facts.workload),
        ...Object.entries(endpoint.facts.labels).map(([key, value]) => line(`label.${key}`, value)),
      ];
    }),
  ];
}

/** Envoy's flags, as it writes them: "/failed_active_hc/failed_outlier_check", or "healthy". */
function healthOf({ check, ejected }: Endpoint): string {
  const flags = [
    check === "unhealthy" ? "/failed_active_hc" : "",
    check === "pending" ? "/pending_active_hc" : "",
    ejected ? "/failed_outlier_check" : "",
  ].join("");
  return flags === "" ? "healthy" : flags;
}
