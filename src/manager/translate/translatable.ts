/**
 * The last gate before an object is in force: can what it becomes be put into a message at all?
 * The validator means to refuse everything else; where it misses something, this refuses the one
 * object, and no proxy goes without its configuration because of it.
 */
import { toBinary } from "@bufbuild/protobuf";
import { AccessConfigSchema } from "../../api/gen/mesh/v1/access_pb.ts";
import { PolicyConfigSchema } from "../../api/gen/mesh/v1/policy_pb.ts";
import {
  ClusterSchema,
  EndpointSetSchema,
  RouteSchema,
  TcpDestinationSchema,
  VirtualHostSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Problem } from "../../core/problem.ts";
import { declaredPolicy } from "../../dialect/policy/policy-set.ts";
import type { Config, ConfigOf } from "../../model/config.ts";
import { policiesOf } from "../../model/destination-policy.ts";
import type { Service } from "../../model/service.ts";
import { policyToMessage } from "../../policy/policy-message.ts";
import { staticRegistryOf } from "../registry/static-registry.ts";
import { accessOf } from "./access.ts";
import { accessSetOf } from "./access-set.ts";
import { settingsOf } from "./assemble.ts";
import { Catalog } from "./catalog.ts";
import { clusterName, clusterOf, endpointSetOf } from "./cluster.ts";
import { planGateway } from "./gateway.ts";
import { type Plan, planEgress, planService } from "./plan.ts";
import { routeOf } from "./route.ts";
import { ruleSetOf } from "./rule-set.ts";

const anyNode = { service: "", namespace: "", labels: {} };
const anyPort = 80;

/** Undefined: it can. */
export function translationProblem(config: Config): Problem | undefined {
  try {
    encode(config);
    return undefined;
  } catch (cause) {
    const message = `cannot be translated: ${cause instanceof Error ? cause.message : cause}`;
    return { severity: "error", position: config.origin, path: "spec", message };
  }
}

/** Throws where a value fits into no message. */
function encode(config: Config): void {
  switch (config.kind) {
    case "RouteRule":
      toBinary(
        RouteSchema,
        routeOf(config, (destination) => clusterName({ ...destination, port: anyPort })),
      );
      return;
    case "DestinationPolicy":
      for (const { source: _, ...policy } of policiesOf(config.spec))
        encodePolicy({ ...config, spec: policy });
      return;
    case "DestinationRule":
      encodeRule(config);
      return;
    case "EgressRule": {
      const rules = ruleSetOf([config], "");
      encodePlan(planEgress(config, { rules, catalog: new Catalog([], []), node: anyNode }));
      return;
    }
    case "IngressRule":
    case "Ingress": {
      const rules = { ...ruleSetOf([], ""), ingresses: [config] };
      encodePlan(planGateway({ rules, catalog: new Catalog([], []), node: anyNode }));
      return;
    }
    case "ServiceEntry":
      encodeRegistry([config]);
      return;
    case "WorkloadEntry":
      encodeRegistry([config, entryFor(config)]);
      return;
    case "PeerAuthentication":
    case "RequestAuthentication":
    case "AuthorizationPolicy":
    case "Policy":
    case "MeshPolicy":
    case "ServiceRole":
    case "ServiceRoleBinding":
    case "RbacConfig":
    case "ClusterRbacConfig":
      encodeAccess(config);
      return;
    case "MeshConfig":
      settingsOf(config.spec);
      return;
    case "rule":
    case "handler":
    case "instance":
    case "attributemanifest":
    case "QuotaSpec":
    case "QuotaSpecBinding":
    case "HTTPAPISpec":
    case "HTTPAPISpecBinding":
    case "ServiceConfig":
    case "GlobalConfig":
      toBinary(PolicyConfigSchema, policyToMessage(declaredPolicy([config])));
      return;
    default:
      config satisfies never;
  }
}

function encodePolicy(config: ConfigOf<"DestinationPolicy">): void {
  const key = { ...config.spec.destination, port: anyPort };
  toBinary(ClusterSchema, clusterOf(key, undefined, ruleSetOf([config], ""), anyNode));
}

function encodeRule(config: ConfigOf<"DestinationRule">): void {
  const { workloadSelector: _, ...spec } = config.spec;
  const rules = ruleSetOf([{ ...config, spec: { ...spec, exportTo: [] } }], "");
  const { trafficPolicy, subsets } = spec;
  const policies = [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)];
  const ports = policies.flatMap((one) => one?.portLevelSettings ?? []).map(({ port }) => port);
  for (const labels of [{}, ...subsets.map((subset) => subset.labels)])
    for (const port of [anyPort, ...ports]) {
      const key = { host: spec.host, labels, port };
      toBinary(ClusterSchema, clusterOf(key, undefined, rules, anyNode));
    }
}

/** A surrogate without its other half, as JSON escapes it. */
const halfCharacter = /\\ud[89a-f]/i;

/** As of a workload that it is for. */
function encodeAccess(config: Config): void {
  if (halfCharacter.test(JSON.stringify(config.spec)))
    throw new Error("a text has half of a character");
  const everybody = { ...config.spec, selector: undefined, references: undefined };
  const meta = { ...config.meta, namespace: anyNode.namespace };
  const set = accessSetOf([{ ...config, meta, spec: everybody } as Config], "", () => 0);
  toBinary(AccessConfigSchema, accessOf(set, anyNode, { trustDomains: [], authorizers: [] }));
}

function encodePlan({ virtualHosts, tcpDestinations, clusters }: Plan): void {
  for (const one of virtualHosts) toBinary(VirtualHostSchema, one);
  for (const one of tcpDestinations) toBinary(TcpDestinationSchema, one);
  for (const { cluster } of clusters) toBinary(ClusterSchema, cluster);
}

function encodeRegistry(configs: readonly Config[]): void {
  const { services, instances } = staticRegistryOf(configs);
  const catalog = new Catalog(services, instances);
  const rules = ruleSetOf([], "");
  for (const service of services) {
    const plan = planService(service, { rules, catalog, node: anyNode });
    encodePlan(plan);
    for (const { key } of plan.clusters)
      toBinary(EndpointSetSchema, endpointSetOf(key, catalog.instances(key.host)));
  }
}

/** A service that selects this workload, since a workload alone becomes nothing. */
function entryFor(config: ConfigOf<"WorkloadEntry">): ConfigOf<"ServiceEntry"> {
  const { labels, ports } = config.spec;
  const resolution: Service["resolution"] = "STATIC";
  const named = Object.keys(ports).map((name, i) => ({
    name,
    number: i + 1,
    protocol: "HTTP" as const,
  }));
  return {
    ...config,
    kind: "ServiceEntry",
    spec: {
      hosts: ["any"],
      addresses: [],
      ports: named.length > 0 ? named : [{ name: "http", number: anyPort, protocol: "HTTP" }],
      location: "MESH_INTERNAL",
      resolution,
      endpoints: [],
      workloadSelector: labels,
    },
  };
}
