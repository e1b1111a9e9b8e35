/**
 * What a proxy was sent by Istio 0.1 to 0.8 (v1 route and cluster discovery), by meaning: our
 * translation of the same rules and the same services is put in the words of that format and
 * compared with the recorded answer. Where we differ on purpose, the finding says "departs".
 */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { ruleSetOf } from "../../manager/translate/rule-set.ts";
import { translate } from "../../manager/translate/translate.ts";
import type { Config } from "../../model/config.ts";
import { compareEndpoints } from "./manager-endpoints.ts";
import {
  type Answer,
  compareClusters,
  compareFaults,
  compareHosts,
  type Golden,
  type Listener,
  type V1Cluster,
  type V1VirtualHost,
} from "./manager-envoy.ts";
import { compareEdgeHosts, compareEdgeListeners } from "./manager-ingress.ts";
import { MockRegistry, type RegistryVector } from "./manager-vectors.ts";
import { type Suite, Verdicts } from "./suite.ts";

type Era = "0.1" | "0.3" | "0.8";

interface Case {
  readonly name: string;
  readonly url: string;
  readonly configs: readonly {
    readonly type: string;
    readonly name: string;
    readonly yaml: string;
  }[];
  readonly mesh_overrides?: { readonly egressProxyAddress?: string };
  readonly expected?: unknown;
}

interface Vectors {
  readonly cases: readonly Case[];
  readonly mock_registry: RegistryVector;
  readonly other_goldens: Readonly<Record<string, AgentFile>>;
}

/** What an agent of 0.1 wrote for its proxy: clusters of TCP ports, which were not discovered. */
interface AgentFile {
  readonly cluster_manager?: { readonly clusters: readonly V1Cluster[] };
}

const files: readonly (readonly [file: string, era: Era])[] = [
  ["discovery_v1_pilot-0.1.6", "0.1"],
  ["discovery_v1_pilot-master", "0.3"],
  ["discovery_v1_istio-0.8.0", "0.8"],
];

export const discoverySuites: readonly Suite[] = files.map(([name, era]) => ({
  file: `manager/routes/${name}.json`,
  run: async (path) => {
    const vectors = JSON.parse(readFileSync(path, "utf8")) as Vectors;
    const verdicts = new Verdicts();
    const files = Object.values(vectors.other_goldens);
    const inFiles = files.flatMap((file) => file.cluster_manager?.clusters ?? []);
    for (const one of vectors.cases)
      judge(one, { era, registry: new MockRegistry(vectors.mock_registry), inFiles, verdicts });
    return verdicts.result();
  },
}));

interface Run {
  readonly era: Era;
  readonly registry: MockRegistry;
  /** Clusters that a proxy had besides those that it discovered. */
  readonly inFiles: readonly V1Cluster[];
  readonly verdicts: Verdicts;
}

function judge(one: Case, run: Run): void {
  const { verdicts } = run;
  const later = laterCase(one);
  if (later !== undefined) return verdicts.skip(one.name, later);
  if (one.url.startsWith("/v1/registration/")) {
    const [difference] = compareEndpoints(one, run.registry);
    return verdicts.judge(one.name, difference);
  }
  const read = readRules(one, run.era);
  if (typeof read === "string") return verdicts.judge(one.name, read);
  for (const config of read) if (config.kind === "EgressRule") run.registry.addEgress(config.spec);
  const differences: string[] = [];
  const departures = new Set<string>();
  for (const answer of answersOf(one)) {
    const { era, registry, inFiles } = run;
    const config = configFor(answer.node, read, one, run);
    const golden: Golden = { era, config, registry, inFiles, departures };
    differences.push(...compare(answer, golden));
  }
  verdicts.judge(one.name, differences.length === 0 ? undefined : differences.join("; "));
  if (differences.length > 0) return;
  for (const why of departures) verdicts.skip(one.name, `departs: ${why}`);
}

function laterCase({ name, url, configs, expected }: Case): string | undefined {
  if (expected === undefined) return "the recorded answer is an error page";
  if (configs.some(({ type }) => type === "AuthenticationPolicy"))
    return "authentication policies: not there yet";
  if (/router/.test(url)) return "routers, which carry calls between services: none of our modes";
  if (/SecurityOn|ssl-context/.test(name)) return "TLS between proxies: not there yet";
  if (/AuthN|-auth\.|auth-opt/.test(name)) return "authentication between proxies: not there yet";
  if (/WebHooks/.test(name)) return "web hooks of discovery: not planned";
  if (/MixerCheck|CheckReport/.test(name)) return "mixer clusters: not there yet";
  if (url.startsWith("/v1/listeners/") && !isEdge(url) && !/fault/.test(name))
    return "listeners: not there yet";
  return undefined;
}

/** Asked for by an ingress. */
function isEdge(url: string): boolean {
  return /\/ingress(~|$)/.test(url);
}

/** The rules of a case, or why they cannot be read. */
function readRules({ configs }: Case, era: Era): readonly Config[] | string {
  const types: Record<string, string> = {
    RouteRule: "route-rule",
    DestinationPolicy: "destination-policy",
    IngressRule: "ingress-rule",
  };
  const documents = configs.map(({ type, name, yaml }) => {
    const spec: unknown = parse(yaml);
    return era === "0.1"
      ? { type: types[type], name, spec }
      : { apiVersion: "config.istio.io/v1alpha2", kind: type, metadata: { name }, spec };
  });
  const text = documents.map((document) => JSON.stringify(document)).join("\n---\n");
  const { configs: read, problems } = readDocuments(text, { file: "case", namespace: "default" });
  const [error] = problems.filter(isError);
  return error === undefined ? read : formatProblem(error);
}

/** One answer to a node, or the answers to all of them. */
function answersOf({ url, expected }: Case): readonly Answer[] {
  const parts = url.split("/");
  if (!Array.isArray(expected)) {
    const node = parts.at(-1) ?? "";
    const routes = parts[3] ?? "";
    return [{ node, routes, ...(expected as object) }];
  }
  return expected.map((each: Record<string, unknown>) => ({
    node: String(each["service-node"]),
    routes: String(each["route-config-name"] ?? ""),
    ...each,
  }));
}

/** The tests of 0.1 asked for answers under the defaults of its mesh: with an egress proxy. */
const egressProxy: Readonly<Record<Era, string>> = {
  "0.1": "istio-egress:80",
  "0.3": "",
  "0.8": "",
};

function configFor(
  node: string,
  configs: readonly Config[],
  { mesh_overrides: mesh }: Case,
  { era, registry }: Run,
): ProxyConfig {
  const ip = node.includes("~") ? (node.split("~")[1] ?? "") : node;
  const { services, instances, names } = registry;
  const rules = ruleSetOf(configs, "cluster.local");
  const egressProxyAddress = mesh?.egressProxyAddress ?? egressProxy[era];
  const settings = { ...rules.settings, egressProxyAddress };
  const all = [...instances, ...names];
  const mode = isEdge(`/${node}`) ? "gateway" : "sidecar";
  return translate({ ...rules, settings }, services, all, { ...registry.nodeAt(ip), mode });
}

function compare(answer: Answer, golden: Golden): readonly string[] {
  const {
    virtual_hosts: hosts,
    clusters,
    listeners,
  } = answer as {
    virtual_hosts?: readonly V1VirtualHost[];
    clusters?: readonly V1Cluster[];
    listeners?: readonly Listener[];
  };
  if (isEdge(`/${answer.node}`)) {
    if (hosts !== undefined) return compareEdgeHosts(hosts, answer.routes, golden);
    if (listeners !== undefined) return compareEdgeListeners(listeners, golden);
  }
  if (hosts !== undefined) return compareHosts(hosts, answer.routes, golden);
  if (clusters !== undefined) return compareClusters(clusters, golden);
  if (listeners !== undefined) return compareFaults(listeners, golden);
  return [`nothing to compare with: ${JSON.stringify(answer).slice(0, 80)}`];
}
