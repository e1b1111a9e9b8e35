/**
 * What gateways were sent: by the v1 discovery of Istio 0.1 to 0.8 (hosts and listeners of an
 * ingress), and by current releases, which make a Gateway and VirtualServices of a Kubernetes
 * Ingress. Compared by meaning with our gateway's configuration.
 */
import { readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import { Listener_Protocol, type ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { ruleSetOf } from "../../manager/translate/rule-set.ts";
import { translate } from "../../manager/translate/translate.ts";
import { compareRoutes, type Golden, type Listener, type V1VirtualHost } from "./manager-envoy.ts";
import { routeInV1 } from "./manager-envoy-route.ts";
import { type Suite, Verdicts } from "./suite.ts";

const tables: Readonly<Record<string, string>> = { "80": "http-80", "443": "https-443" };

/** Each host of the table has its names and routes in ours; no other host is there. */
export function compareEdgeHosts(
  hosts: readonly V1VirtualHost[],
  table: string,
  golden: Golden,
): readonly string[] {
  const ours = golden.config.virtualHosts.filter(({ listener }) => listener === tables[table]);
  const differences = hosts.flatMap((host) => {
    const found = ours.find(({ domains }) => domains.includes(host.name));
    if (found === undefined) return [`no virtual host ${host.name}`];
    const missing = host.domains.filter((domain) => !found.domains.includes(domain));
    const routes = found.routes.map((route) => routeInV1(route));
    return [
      ...missing.map((domain) => `${host.name} is not ${domain}`),
      ...compareRoutes(host, routes, golden),
    ];
  });
  const names = new Set(hosts.map(({ name }) => name));
  const extra = ours.filter(({ domains }) => !domains.some((domain) => names.has(domain)));
  return [...differences, ...extra.map(({ name }) => `a virtual host ${name} too many`)];
}

/** Ports, and which of them speak TLS. Filters of listeners are settings here. */
export function compareEdgeListeners(
  listeners: readonly (Listener & { readonly ssl_context?: object })[],
  { config, departures }: Golden,
): readonly string[] {
  departures.add("of a gateway's listeners ports and TLS are compared; the rest is settings");
  const wanted = listeners.map(
    ({ address, ssl_context: tls }) => `${address.split(":").at(-1)} ${tls !== undefined}`,
  );
  const given = (config.settings?.gateway?.listeners ?? []).map(
    ({ port, protocol }) => `${port} ${protocol === Listener_Protocol.HTTPS}`,
  );
  const same = Bun.deepEquals(wanted.toSorted(), given.toSorted());
  return same ? [] : [`listeners: ${given}, not ${wanted}`];
}

interface ModernCase {
  readonly name: string;
  readonly in: string;
  readonly expected: string;
}

interface GatewayDocument {
  readonly kind: "Gateway";
  readonly spec: {
    readonly servers: readonly {
      readonly port: { readonly number: number; readonly protocol: string };
      readonly tls?: { readonly credentialName?: string };
    }[];
  };
}

interface VirtualServiceDocument {
  readonly kind: "VirtualService";
  readonly spec: {
    readonly hosts: readonly string[];
    readonly http: readonly {
      readonly match?: readonly { readonly uri?: Readonly<Record<string, string>> }[];
      readonly route: readonly {
        readonly destination: { readonly host: string; readonly port: { readonly number: number } };
      }[];
    }[];
  };
}

const modern: Suite = {
  file: "manager/gatewayapi/istio-master_ingress.json",
  run: async (path) => {
    const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: readonly ModernCase[] };
    const verdicts = new Verdicts();
    for (const one of cases) verdicts.judge(one.name, judgeModern(one));
    return verdicts.result();
  },
};

const domain = "mydomain";

/** Their tests take every Ingress, of whatever class. */
function judgeModern({ name, in: text, expected }: ModernCase): string | undefined {
  const { configs, problems } = readDocuments(text, { file: name, namespace: "default", domain });
  const error = problems.find(isError);
  if (error !== undefined) return formatProblem(error);
  const ingresses = configs.filter((config) => config.kind === "Ingress");
  const rules = { ...ruleSetOf([], domain), ingresses };
  const node = { service: "", namespace: "default", labels: {}, mode: "gateway" } as const;
  const config = translate(rules, [], [], node);
  const documents = parseAllDocuments(expected).map(
    (one) => one.toJS() as GatewayDocument | VirtualServiceDocument | null,
  );
  const servers = documents.flatMap((one) => (one?.kind === "Gateway" ? one.spec.servers : []));
  const services = documents.filter((one) => one?.kind === "VirtualService");
  const differences = [
    ...compareServers(servers, config),
    ...services.flatMap((service) => compareService(service, config)),
    ...surplus(services, config),
  ];
  return differences.length === 0 ? undefined : differences.join("; ");
}

function compareServers(
  servers: GatewayDocument["spec"]["servers"],
  { settings }: ProxyConfig,
): readonly string[] {
  const wanted = new Set(
    servers.map(({ port, tls }) => `${port.number} ${tls?.credentialName ?? ""}`),
  );
  const given = new Set(
    (settings?.gateway?.listeners ?? []).flatMap(({ port, certificates }) =>
      port === 80
        ? [`${port} `]
        : certificates.map((one) => `${port} ${one.name.replace(/\.[^.]+$/, "")}`),
    ),
  );
  return wanted.symmetricDifference(given).size === 0
    ? []
    : [`servers ${[...given]}, not ${[...wanted]}`];
}

function compareService(service: VirtualServiceDocument, config: ProxyConfig): readonly string[] {
  const wanted = service.spec.http.map(({ match, route }) => {
    const [kind, value] = Object.entries(match?.[0]?.uri ?? {})[0] ?? ["prefix", "/"];
    const { host, port } = route[0]!.destination;
    return `${kind} ${value.replace(/(?<=.)\/$/, "")} ${host}:${port.number}`;
  });
  return service.spec.hosts.flatMap((host) => {
    const found = config.virtualHosts.find(({ domains }) => domains.includes(host));
    const given = found?.routes.map(({ match, action }) => {
      const { kind } = match?.path ?? {};
      const path = kind?.case === undefined ? "prefix /" : `${kind.case} ${kind.value}`;
      const cluster = action.case === "forward" ? action.value.clusters[0]?.cluster : "";
      const [, port, , name] = cluster?.split("|") ?? [];
      // A VirtualService of an Ingress means prefixes of segments.
      return `${path.replace("segmentPrefix", "prefix")} ${name}:${port}`;
    });
    return Bun.deepEquals(given, wanted) ? [] : [`${host}: ${given}, not ${wanted}`];
  });
}

function surplus(
  services: readonly VirtualServiceDocument[],
  { virtualHosts }: ProxyConfig,
): readonly string[] {
  const hosts = new Set(services.flatMap(({ spec }) => spec.hosts));
  return virtualHosts
    .filter(({ domains }) => !domains.some((one) => hosts.has(one)))
    .map(({ name }) => `a virtual host ${name} too many`);
}

export const ingressSuites: readonly Suite[] = [modern];
