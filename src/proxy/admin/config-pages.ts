/** Pages that show what the proxy runs on: the whole, listeners, routes, clusters. */
import { toJson } from "@bufbuild/protobuf";
import { json, text, wantsJson } from "../../api/admin-page.ts";
import { ProxyConfigSchema, type SourcePosition } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { redactConfig } from "../../api/redact-config.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { Page } from "./page.ts";
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
];

async function configDump(view: ProxyView): Promise<Response> {
  const config = view.config();
  const discovery = view.discovery();
  return json({
    node: view.node,
    version: config?.version ?? "",
    source: view.configSource(),
    manager: discovery ?? null,
    registration: view.registration() ?? null,
    listeners: view.listeners(),
    config: config === undefined ? {} : toJson(ProxyConfigSchema, redactConfig(config)),
    policy: (await view.policy()) ?? null,
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

async function clusters(view: ProxyView, query: URLSearchParams): Promise<Response> {
  const all = await view.clusters();
  if (wantsJson(query)) return json(all);
  return text(all.flatMap(clusterLines).join("\n"));
}

/** In the form that Envoy's users grep. */
function clusterLines(cluster: ClusterView): string[] {
  const { name, discovery, loadBalancer, panics, origins, endpoints } = cluster;
  return [
    `${name}::discovery::${discovery}`,
    `${name}::load_balancer::${loadBalancer}`,
    ...(panics ? [`${name}::panic::true`] : []),
    ...origins.map((origin) => `${name}::origin::${origin}`),
    ...endpoints.flatMap((endpoint) => {
      const line = (key: string, value: string | number): string =>
        `${name}::${endpoint.address}::${key}::${value}`;
      return [
        line("health_flags", endpoint.health),
        line("rq_active", endpoint.activeRequests),
        line("weight", endpoint.weight),
        ...(endpoint.locality === "" ? [] : [line("locality", endpoint.locality)]),
        line("workload", endpoint.workload),
        ...Object.entries(endpoint.labels).map(([key, value]) => line(`label.${key}`, value)),
      ];
    }),
  ];
}
