/**
 * Validation of rules, services and settings as the releases of Istio tested it. Kinds that a
 * person writes go through the reader of documents, in the envelope of their era; the rest are
 * judged by the check that the reader uses.
 */
import { readFileSync } from "node:fs";
import { isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { checkProviderService } from "../../dialect/security/extension-provider.ts";
import { defaultMeshSettings, type MeshSettings } from "../../model/mesh-settings.ts";
import {
  checkEgressService,
  checkHost,
  checkIpAddress,
  checkPort,
  checkProxyAddress,
  checkSubnet,
} from "../../model/validate-address.ts";
import {
  checkConnectTimeout,
  checkDrainDuration,
  checkDuration,
  checkParentAndDrain,
  checkRefreshDelay,
  parseDuration,
} from "../../model/validate-duration.ts";
import { checkHeaderName } from "../../model/validate-http.ts";
import {
  checkFqdn,
  checkLabel,
  checkModernDomain,
  checkPortName,
  checkWildcardDomain,
} from "../../model/validate-name.ts";
import { checkEndpointAddress, checkInstance, checkService } from "../../model/validate-service.ts";
import { providerIsFine } from "./manager-provider.ts";
import { toEndpoint, toService, type VectorObject, type VectorService } from "./manager-vectors.ts";
import { type Suite, Verdicts } from "./suite.ts";

/** Releases contradict each other on purpose. */
type Era = "0.1" | "0.3" | "0.8" | "now" | "crd";

interface Vector {
  readonly name: string;
  readonly kind: string;
  readonly valid: boolean;
  readonly object: unknown;
  readonly yaml?: string;
  readonly line?: number;
  readonly args?: {
    readonly namespace?: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
    readonly configName?: string;
    readonly isServiceEntry?: boolean;
    readonly isDestinationRuleWithSelector?: boolean;
  };
  /** Whether the original had something to say of what it took. */
  readonly warning?: boolean;
}

/** True: valid. */
type Judge = (vector: Vector, era: Era) => boolean;

const files: readonly (readonly [file: string, era: Era])[] = [
  ["pilot-0.1.6__model_validation_test", "0.1"],
  ["pilot-master__model_validation_test", "0.3"],
  ["istio-0.8.0__pilot_pkg_model_validation_test", "0.8"],
  ["istio-master__pkg_config_validation_validation_test", "now"],
  ["istio-master__pkg_config_validation_agent_validation_test", "now"],
  ["istio-master__pkg_config_validation_agent_extensionprovider_test", "now"],
  ["api-master__crd_schema", "crd"],
];

export const validationSuites: readonly Suite[] = files.map(([name, era]) => ({
  file: `manager/validation/${name}.json`,
  run: async (path) => {
    const verdicts = new Verdicts();
    const { vectors } = JSON.parse(readFileSync(path, "utf8")) as { vectors: readonly Vector[] };
    for (const vector of vectors) judge(vector, era, verdicts);
    return verdicts.result();
  },
}));

function judge(vector: Vector, era: Era, verdicts: Verdicts): void {
  const name = `${vector.kind}: ${vector.name}`;
  const later = laterKind(vector, era);
  if (later !== undefined) return verdicts.skip(name, later);
  const departure = departures.find(({ applies }) => applies(vector, era));
  if (departure !== undefined) return verdicts.skip(name, `departs: ${departure.why}`);
  const provider = providerIsFine(vector.kind, vector.object);
  const own = Object.hasOwn(judges, vector.kind) ? judges[vector.kind] : undefined;
  const check = provider === undefined ? own : () => provider;
  if (check === undefined) return verdicts.skip(name, `kind ${vector.kind}: not there yet`);
  const valid = check(vector, era);
  const text = JSON.stringify(vector.object ?? vector.yaml);
  const why = `is ${valid ? "accepted" : "refused"}: ${text}`;
  verdicts.judge(name, valid === vector.valid ? undefined : why);
}

/** Had other fields in 0.8, of which no release since takes a file. */
const kindsOfNow: ReadonlySet<string> = new Set([
  "DestinationRule",
  "TrafficPolicy",
  "ConnectionPoolSettings",
  "LoadBalancerSettings",
  "OutlierDetection",
]);

/** Names that mean another thing in later releases, or in settings that we do not read yet. */
function laterKind({ kind, object }: Vector, era: Era): string | undefined {
  const isGatewayPort = kind === "Port" && typeof object === "object";
  if (isGatewayPort) return "port of a Gateway: not there yet";
  if (era !== "now" && era !== "crd") return kindsOfNow.has(kind) ? "the form of 0.8" : undefined;
  const headers = kind === "HTTPHeaderName" || kind === "CorsPolicy";
  if (headers) return "headers of a VirtualService: not there yet";
  return undefined;
}

interface Departure {
  readonly why: string;
  readonly applies: (vector: Vector, era: Era) => boolean;
}

const departures: readonly Departure[] = [
  {
    why:
      "tcp and mongo are refused; in the same apiVersion TestValidateEgressRulePort#10 and " +
      '"valid egress rule with tcp ports" of istio-0.8.0__pilot_pkg_model_validation_test ' +
      "are valid",
    applies: ({ kind, object, valid }, era) =>
      era === "0.3" &&
      kind === "EgressRulePort" &&
      !valid &&
      /tcp|mongo/.test(JSON.stringify(object)),
  },
];

const service = { name: "reviews" };

const apiSpec = {
  patterns: [
    { attributes: constantsOf({ stringValue: "a" }), httpMethod: "GET", uriTemplate: "/a" },
  ],
};

/** One constant. The file has a point in time, and octets, as Go has them and not as JSON does. */
function constantsOf(object: unknown): unknown {
  const { timestampValue, bytesValue, ...rest } = record(object);
  const time = timestampValue !== undefined && { timestampValue: "1970-01-01T00:00:00Z" };
  const octets = Array.isArray(bytesValue) && {
    bytesValue: Uint8Array.from(bytesValue as number[]).toBase64(),
  };
  return { attributes: { a: { ...rest, ...time, ...octets } } };
}

/** A message that is judged by itself has no defaults but those of its format: no durations. */
const { connectTimeoutMs: _, drainDurationMs: __, ...timeless } = defaultMeshSettings;
const unset: Partial<MeshSettings> = { ...timeless, outboundTrafficPolicy: "REGISTRY_ONLY" };

const judges: Readonly<Record<string, Judge>> = {
  RouteRule: ({ object }, era) => reads("RouteRule", object, era),
  DestinationPolicy: ({ object }, era) => reads("DestinationPolicy", object, era),
  DestinationRule: (vector, era) => networking("DestinationRule", vector, era),
  TrafficPolicy: ({ object }) => readsTraffic(object),
  ConnectionPoolSettings: ({ object }) => readsTraffic({ connectionPool: object }),
  LoadBalancerSettings: ({ object }) => readsTraffic({ loadBalancer: object }),
  OutlierDetection: ({ object }) => readsTraffic({ outlierDetection: object }),
  ClientTLSSettings: ({ object }) => readsTraffic({ tls: object }),
  LocalityLoadBalancerSetting: ({ object }) =>
    readsTraffic({ loadBalancer: { localityLbSetting: object } }),
  ZoneAwareLoadBalancerSetting: ({ object }) =>
    readsTraffic({ loadBalancer: { zoneAwareLbSetting: object } }),
  AuthorizationPolicy: (vector) => security("AuthorizationPolicy", vector),
  PeerAuthentication: (vector) => security("PeerAuthentication", vector),
  RequestAuthentication: (vector) => security("RequestAuthentication", vector),
  Policy: (vector) => authentication(vector),
  ServiceRole: (vector) => roles("ServiceRole", vector),
  ServiceRoleBinding: (vector) => roles("ServiceRoleBinding", vector),
  EgressRule: ({ object }, era) => reads("EgressRule", object, era),
  IngressRule: ({ object }, era) => reads("IngressRule", object, era),
  IstioService: ({ object }, era) =>
    reads("RouteRule", { destination: service, match: { source: object } }, era),
  MatchCondition: ({ object }, era) =>
    reads("RouteRule", { destination: service, match: object }, era),
  CorsPolicy: ({ object }, era) =>
    reads("RouteRule", { destination: service, corsPolicy: object }, era),
  EgressRulePort: ({ object }, era) =>
    ["example.com", "10.0.0.0/8"].some((to) =>
      reads("EgressRule", { destination: { service: to }, ports: [object] }, era),
    ),
  EgressRuleService: ({ object }) => checkEgressService(text(object)) === undefined,
  EgressRuleDomain: ({ object }) => checkWildcardDomain(text(object)) === undefined,
  MeshConfig: ({ object }) =>
    isFine(JSON.stringify({ kind: "MeshConfig", ...record(object) }), unset),
  ProxyConfig: ({ object, yaml }, era) =>
    era === "crd"
      ? isFine(yaml ?? "")
      : isFine(JSON.stringify({ kind: "MeshConfig", defaultConfig: object }), {
          ...unset,
          connectTimeoutMs: 1_000,
        }),
  Attributes_AttributeValue: ({ object }) =>
    reads("HTTPAPISpec", { ...apiSpec, attributes: constantsOf(object) }, "0.8"),
  HTTPAPISpec: ({ object }, era) => reads("HTTPAPISpec", object, era),
  HTTPAPISpecBinding: ({ object }, era) => reads("HTTPAPISpecBinding", object, era),
  QuotaSpec: ({ object }, era) => reads("QuotaSpec", object, era),
  QuotaSpecBinding: ({ object }, era) => reads("QuotaSpecBinding", object, era),
  ProtocolDetectionTimeout: ({ object }) => settings({ protocolDetectionTimeout: object }),
  MeshConfig_DefaultTrafficPolicy: ({ object }) => settings({ defaultTrafficPolicy: object }),
  HTTPRetry: ({ object }) => settings({ defaultHttpRetryPolicy: object }),
  MeshConfigDefaultInboundHTTPRetryPolicy: ({ object }) =>
    settings({ defaultInboundHttpRetryPolicy: object }),
  WorkloadGroup: (vector, era) => networking("WorkloadGroup", vector, era),
  EnvoyFilter: (vector, era) => networking("EnvoyFilter", vector, era),
  Telemetry: (vector) => alone("telemetry.istio.io/v1", vector),
  WasmPlugin: (vector) => alone("extensions.istio.io/v1alpha1", vector),
  TrafficExtension: (vector) => alone("extensions.istio.io/v1alpha1", vector),
  ExportTo: (vector) => exports(vector),
  ServiceSettings: ({ object }) => settings({ serviceSettings: [{ hosts: object }] }),
  Localities: ({ object }) => {
    const distribute = (object as string[]).map((from) => ({ from, to: { there: 100 } }));
    return readsTraffic({ loadBalancer: { localityLbSetting: { distribute } } });
  },
  ServiceEntry: (vector, era) => networking("ServiceEntry", vector, era),
  WorkloadEntry: (vector, era) => networking("WorkloadEntry", vector, era),
  Service: ({ object }) => checkService(toService(object as VectorService)).length === 0,
  ServiceInstance: ({ object }) => {
    const instance = object as VectorObject;
    const of = instance.service as VectorService | undefined;
    return checkInstance(toEndpoint(instance), of && toService(of)).length === 0;
  },
  NetworkEndpoint: ({ object }) => {
    const { family, address } = object as { family?: number; address?: string };
    return checkEndpointAddress(address ?? "", family === 1 ? "unix" : "ip") === undefined;
  },
  LabelsValidate: ({ object }) => labelsAreFine(object),
  TagsValidate: ({ object }) => labelsAreFine(object),
  FQDN: ({ object }, era) =>
    (era === "now"
      ? checkModernDomain(text(object), "full")
      : checkFqdn(text(object), letters(era))) === undefined,
  Host: ({ object }) => checkHost(text(object)) === undefined,
  WildcardDomain: ({ object }, era) =>
    (era === "now"
      ? checkModernDomain(text(object), "wildcard")
      : checkWildcardDomain(text(object))) === undefined,
  HTTPHeaderName: ({ object }) => checkHeaderName(text(object)) === undefined,
  PortName: ({ object }) => checkPortName(text(object)) === undefined,
  Port: ({ object }) => checkPort(Number(object)) === undefined,
  ProxyAddress: ({ object }) => checkProxyAddress(text(object)) === undefined,
  IPAddress: ({ object }) => checkIpAddress(text(object)) === undefined,
  IPSubnet: ({ object }) => text(object).includes("/") && checkSubnet(text(object)) === undefined,
  ExtensionProviderService: ({ object }) => checkProviderService(text(object)) === undefined,
  ControlPlaneAuthPolicy: ({ object }) =>
    isFine(
      JSON.stringify({ kind: "MeshConfig", defaultConfig: { controlPlaneAuthPolicy: object } }),
    ),
  TrustDomain: ({ object }) => checkModernDomain(text(object), "full") === undefined,
  Duration: ({ object }) => lasts(object, checkDuration),
  RefreshDelay: ({ object }) => lasts(object, checkRefreshDelay),
  ConnectTimeout: ({ object }, era) =>
    lasts(object, (value) =>
      checkConnectTimeout(value, era === "now" ? 3_600n * 10n ** 9n : undefined),
    ),
  DrainDuration: ({ object }) => lasts(record(object).drain, checkDrainDuration),
  ParentAndDrain: ({ object }) => {
    const [parent, drain] = [record(object).parent, record(object).drain].map((value) =>
      parseDuration(text(value)),
    );
    return parent !== undefined && drain !== undefined
      ? checkParentAndDrain(parent, drain).length === 0
      : false;
  },
};

function reads(kind: string, spec: unknown, era: Era): boolean {
  const types: Record<string, string> = {
    RouteRule: "route-rule",
    DestinationPolicy: "destination-policy",
    IngressRule: "ingress-rule",
  };
  const document =
    era === "0.1"
      ? { type: types[kind], name: "case", spec }
      : { apiVersion: "config.istio.io/v1alpha2", kind, metadata: { name: "case" }, spec };
  return isFine(JSON.stringify(document));
}

/** In a DestinationRule, of which it may be all. */
function readsTraffic(trafficPolicy: unknown): boolean {
  const object = { host: "reviews", trafficPolicy };
  return networking("DestinationRule", { name: "", kind: "", valid: true, object }, "now");
}

function networking(kind: string, { object, yaml, args }: Vector, era: Era): boolean {
  if (yaml !== undefined) return isFine(yaml.replace(/^_err:.*\n/gm, ""));
  const apiVersion = `networking.istio.io/${era === "now" ? "v1" : "v1alpha3"}`;
  const labels = args?.labels ?? {};
  const metadata = { name: "case", labels };
  return isFine(JSON.stringify({ apiVersion, kind, metadata, spec: object }));
}

function alone(apiVersion: string, { kind, object: spec, yaml }: Vector): boolean {
  if (yaml !== undefined) return isFine(yaml.replace(/^_err:.*\n/gm, ""));
  return isFine(JSON.stringify({ apiVersion, kind, metadata: { name: "case" }, spec }));
}

function exports({ object: exportTo, args = {} }: Vector): boolean {
  const isEntry = args.isServiceEntry === true;
  const chosen = args.isDestinationRuleWithSelector === true && {
    workloadSelector: { matchLabels: { app: "a" } },
  };
  return isFine(
    JSON.stringify({
      apiVersion: "networking.istio.io/v1",
      kind: isEntry ? "ServiceEntry" : "DestinationRule",
      metadata: { name: "case", namespace: args.namespace },
      spec: isEntry ? { hosts: ["a.example"], exportTo } : { host: "a", exportTo, ...chosen },
    }),
  );
}

function security(kind: string, { object, yaml, args, warning }: Vector): boolean {
  if (yaml !== undefined) return isFine(yaml.replace(/^_err:.*\n/gm, ""));
  const { annotations = {}, configName = "case" } = args ?? {};
  const metadata = { name: configName, annotations };
  const apiVersion = "security.istio.io/v1";
  const document = JSON.stringify({ apiVersion, kind, metadata, spec: object });
  const { problems } = readDocuments(document, { file: "case.yaml", namespace: "default" });
  // Where the original warned of what it took, so do we.
  return warning === true ? problems.length > 0 && isFine(document) : isFine(document);
}

/** Without targets it is its namespace's, and named so. */
function authentication({ object }: Vector): boolean {
  const hasTargets = record(object).targets !== undefined;
  const metadata = { name: hasTargets ? "case" : "default" };
  const apiVersion = "authentication.istio.io/v1alpha1";
  return isFine(JSON.stringify({ apiVersion, kind: "Policy", metadata, spec: object }));
}

function roles(kind: string, { object }: Vector): boolean {
  const apiVersion = "config.istio.io/v1alpha2";
  return isFine(JSON.stringify({ apiVersion, kind, metadata: { name: "case" }, spec: object }));
}

/** A document that yields its config, or is left out with a warning, and has no error. */
function isFine(document: string, meshDefaults?: Partial<MeshSettings>): boolean {
  const mesh = meshDefaults !== undefined && { meshDefaults };
  const options = { file: "case.yaml", namespace: "default", ...mesh };
  return !readDocuments(document, options).problems.some(isError);
}

function settings(fields: Readonly<Record<string, unknown>>): boolean {
  return isFine(JSON.stringify({ kind: "MeshConfig", ...fields }));
}

function lasts(value: unknown, check: (nanoseconds: bigint) => string | undefined): boolean {
  const read = typeof value === "string" ? parseDuration(value) : undefined;
  return read !== undefined && check(read) === undefined;
}

function labelsAreFine(object: unknown): boolean {
  return Object.entries(record(object)).every(
    ([key, value]) => checkLabel(key, String(value)) === undefined,
  );
}

function letters(era: Era): "lower" | "any" {
  return era === "0.1" || era === "0.3" ? "lower" : "any";
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
