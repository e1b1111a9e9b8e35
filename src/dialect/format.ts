/**
 * A config ─▶ its document in the canonical spelling of its kind, for `get -o yaml`. Defaults are
 * left out; what is written reads back to an equal config.
 */
import { parse, stringify } from "yaml";
import { type Config, writtenKind } from "../model/config.ts";
import type { CircuitBreaker, DestinationPolicy } from "../model/destination-policy.ts";
import type { EgressRule } from "../model/egress-rule.ts";
import {
  defaultMeshSettings,
  type GatewayTopology,
  type MeshSettings,
  type PathNormalization,
} from "../model/mesh-settings.ts";
import type { ServiceEntry, WorkloadEntry } from "../model/service.ts";
import { formatDuration } from "../model/validate-duration.ts";
import { accessJson, authorizerJson, isAccess } from "./format-access.ts";
import { destinationRuleJson } from "./format-destination-rule.ts";
import { ingressJson, ingressRuleJson } from "./format-ingress.ts";
import { isPolicy, policyJson as policySpecJson } from "./format-policy.ts";
import { routeRuleJson, serviceJson } from "./format-route-rule.ts";
import { readable } from "./inventory.ts";

type Json = Readonly<Record<string, unknown>>;

/** The spec as proto-JSON (camelCase, durations "2.5s"), defaults left out. */
export function specJson(config: Config): Json {
  if (isPolicy(config)) return policySpecJson(config);
  if (isAccess(config)) return accessJson(config);
  const era = config.apiVersion === "" ? "0.1" : "v1alpha2";
  switch (config.kind) {
    case "RouteRule":
      return compact(routeRuleJson(config.spec, era));
    case "DestinationPolicy":
      return compact(policyJson(config.spec, era));
    case "DestinationRule":
      return destinationRuleJson(config.spec);
    case "EgressRule":
      return compact(egressJson(config.spec));
    case "IngressRule":
      return compact(ingressRuleJson(config.spec, era));
    case "Ingress":
      return compact(
        ingressJson(config.spec, {
          apiVersion: config.apiVersion,
          annotations: config.meta.annotations,
        }),
      );
    case "ServiceEntry":
      return compact(serviceEntryJson(config.spec));
    case "WorkloadEntry":
      return compact(workloadJson(config.spec));
    case "MeshConfig":
      return { ...compact(meshJson(config.spec)), ...autoMtlsJson(config.spec) };
    case "ServiceConfig":
    case "GlobalConfig":
    case "Policy":
    case "MeshPolicy":
    case "ServiceRole":
    case "ServiceRoleBinding":
    case "RbacConfig":
    case "ClusterRbacConfig":
      return writtenSpec(config);
    default:
      return config satisfies never;
  }
}

/** The whole object in its envelope: that of Istio 0.1 for rules that came in it. */
export function configJson(config: Config): Json {
  const { kind, apiVersion, meta } = config;
  const spec = specJson(config);
  if (kind === "MeshConfig") return { kind, ...spec };
  if (apiVersion === "" && (kind === "ServiceConfig" || kind === "GlobalConfig")) return spec;
  const { name, namespace, labels, annotations } = meta;
  const type = readable.find((one) => one.kind === kind)?.type;
  if (apiVersion === "" && type !== undefined) return { type, name, namespace, spec };
  const metadata = compact({ name, namespace, labels, annotations });
  return { apiVersion, kind: writtenKind(config), metadata, spec };
}

/** A YAML document that reads back to an equal config. */
export function formatConfig(config: Config): string {
  return stringify(configJson(config), { lineWidth: 0 });
}

/** What later releases replaced is shown as it was written: nobody writes more of it. */
function writtenSpec({ apiVersion, text }: Config): Json {
  // Read by the reader of its kind before: a map of fields.
  const document = parse(text, { logLevel: "silent" }) as Json;
  return apiVersion === "" ? document : ((document.spec ?? {}) as Json);
}

/** Without fields that say nothing: undefined, false, "", 0, {} and []. */
function compact(json: Json): Json {
  return Object.fromEntries(
    Object.entries(json).flatMap(([key, value]) => {
      const kept = compactValue(value);
      return kept === undefined ? [] : [[key, kept]];
    }),
  );
}

function compactValue(value: unknown): unknown {
  if (value === undefined || value === false || value === "" || value === 0) return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value;
  if (typeof value !== "object" || value === null) return value;
  return Object.keys(value).length === 0 ? undefined : value;
}

function policyJson(policy: DestinationPolicy, era: "0.1" | "v1alpha2"): Json {
  const { destination, source, others = [] } = policy;
  if (era === "v1alpha2")
    return {
      destination: serviceJson(destination, era),
      ...partJson(policy),
      ...sourceJson(source),
    };
  return {
    destination: destination.host,
    ...(source && { source: source.host }),
    policy: [policy, ...others].map((one) =>
      compact({ tags: one.destination.labels, ...partJson(one) }),
    ),
  };
}

function sourceJson(source: DestinationPolicy["source"]): Json {
  return source ? { source: serviceJson(source, "v1alpha2") } : {};
}

function partJson({ loadBalancing, circuitBreaker }: DestinationPolicy): Json {
  return {
    loadBalancing: loadBalancing && { name: loadBalancing },
    circuitBreaker: circuitBreaker && { simpleCb: breakerJson(circuitBreaker) },
  };
}

function breakerJson({ httpDetectionIntervalMs, sleepWindowMs, ...counts }: CircuitBreaker): Json {
  return {
    ...counts,
    httpDetectionInterval: formatDuration(httpDetectionIntervalMs),
    sleepWindow: formatDuration(sleepWindowMs),
  };
}

function egressJson({ service, ports }: EgressRule): Json {
  return { destination: { service }, ports };
}

function serviceEntryJson(entry: ServiceEntry): Json {
  const { endpoints, workloadSelector, location, resolution, ports, ...rest } = entry;
  return {
    ...rest,
    ports: ports.map(({ name, number, protocol, targetPort }) =>
      compact({ number, protocol, name, targetPort }),
    ),
    location: location === "MESH_EXTERNAL" ? undefined : location,
    resolution: resolution === "NONE" ? undefined : resolution,
    endpoints: endpoints.map((endpoint) => compact(workloadJson(endpoint))),
    workloadSelector: workloadSelector && { labels: workloadSelector },
  };
}

function workloadJson({ weight, ...rest }: WorkloadEntry): Json {
  return { ...rest, weight: weight === 1 ? undefined : weight };
}

function meshJson(settings: MeshSettings): Json {
  const unless = <K extends keyof MeshSettings>(key: K) =>
    settings[key] === defaultMeshSettings[key] ? undefined : settings[key];
  const mode = unless("outboundTrafficPolicy");
  const connectTimeoutMs = unless("connectTimeoutMs");
  const drainDurationMs = unless("drainDurationMs");
  return {
    outboundTrafficPolicy: mode && { mode },
    accessLogFile: unless("accessLogFile"),
    accessLogEncoding: unless("accessLogEncoding"),
    egressProxyAddress: unless("egressProxyAddress"),
    connectTimeout: connectTimeoutMs && formatDuration(connectTimeoutMs),
    defaultConfig: compact({
      terminationDrainDuration: drainDurationMs && formatDuration(drainDurationMs),
      gatewayTopology: topologyJson(settings.gatewayTopology),
    }),
    pathNormalization: pathJson(settings.pathNormalization),
    ...ingressSettings(settings),
    ...identityJson(settings),
    extensionProviders: settings.authorizers.map(authorizerJson),
  };
}

function identityJson({ identity }: MeshSettings): Json {
  const { trustDomain, trustDomainAliases, authPolicy } = identity;
  return {
    trustDomain,
    trustDomainAliases,
    authPolicy: authPolicy === "NONE" ? undefined : authPolicy,
  };
}

/** False is a value here, which compact would leave out. */
function autoMtlsJson({ identity }: MeshSettings): Json {
  return identity.autoMtls ? {} : { enableAutoMtls: false };
}

function topologyJson(topology: GatewayTopology) {
  const { numTrustedProxies, forwardClientCertDetails: details, proxyProtocol } = topology;
  const { gatewayTopology: under } = defaultMeshSettings;
  const said = compact({
    numTrustedProxies,
    forwardClientCertDetails: details === under.forwardClientCertDetails ? undefined : details,
  });
  // An empty message is a value here, which compact would leave out.
  return proxyProtocol ? { ...said, proxyProtocol: {} } : said;
}

function ingressSettings({ ingress }: MeshSettings): Json {
  const { mode, class: name } = defaultMeshSettings.ingress;
  return {
    ingressControllerMode: ingress.mode === mode ? undefined : ingress.mode,
    ingressClass: ingress.class === name ? undefined : ingress.class,
  };
}

function pathJson({ normalization, escapedSlashes }: PathNormalization): Json | undefined {
  if (normalization === "MERGE_SLASHES" && escapedSlashes === "UNESCAPE_AND_FORWARD")
    return { normalization: "DECODE_AND_MERGE_SLASHES" };
  const action = escapedSlashes === "KEEP_UNCHANGED" ? undefined : escapedSlashes;
  if (normalization === "BASE" && action === undefined) return undefined;
  return { normalization, pathWithEscapedSlashesAction: action };
}
