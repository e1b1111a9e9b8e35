/**
 * Settings of the whole mesh: a document of MeshConfig's fields, or `kind: MeshConfig`. All fields
 * of all releases are known; what we do not obey (yet) says so. Spec table: manager 3.
 */
import { trustDomainOf } from "../core/spiffe-id.ts";
import {
  completeMeshSettings,
  defaultMeshSettings,
  type GatewayTopology,
  type IdentitySettings,
  type MeshSettings,
  type PathNormalization,
} from "../model/mesh-settings.ts";
import { checkProxyAddress } from "../model/validate-address.ts";
import {
  checkConnectTimeout,
  checkDrainDuration,
  checkRefreshDelay,
} from "../model/validate-duration.ts";
import { checkModernDomain } from "../model/validate-name.ts";
import {
  type Fields,
  ignored,
  list,
  message,
  type Reader,
  type ValueOf,
} from "./schema/message.ts";
import type { Place } from "./schema/place.ts";
import { checkedText, duration, flag, integer, nonEmpty, oneOf, text } from "./schema/scalar.ts";
import { extensionProviders } from "./security/extension-provider.ts";
import {
  defaultTrafficPolicy,
  detectionTimeout,
  envoyService,
  privateKeyProvider,
  retryPolicy,
  serviceSettings,
  tracing,
} from "./unused-setting.ts";

const why = "is not obeyed (yet)";
const unused = ignored(why);

function unusedFields(names: string): Readonly<Record<string, Reader<never>>> {
  return Object.fromEntries(
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, unused]),
  );
}

/** Judged as it always was, so that a mistake shows, and then without effect. */
function judged<T>(read: Reader<T>): Reader<never> {
  return (place) => {
    if (read(place) !== undefined) place.warn(why);
    return undefined;
  };
}

const proxyAddress = checkedText((value) => (value === "" ? undefined : checkProxyAddress(value)));
const address = judged(proxyAddress);
const refreshDelay = judged(duration(checkRefreshDelay));
const authPolicy = oneOf("NONE", "MUTUAL_TLS");
const trustDomain = checkedText((value) => checkModernDomain(value, "full"));
const given = judged(nonEmpty);

/** The longest that Istio ever allowed; 0.x stopped at 30 s. */
const connectTimeoutMax = 3_600n * 1_000_000_000n;

const gatewayTopology = message({
  numTrustedProxies: integer({ least: 0, most: 64 }),
  forwardClientCertDetails: oneOf(
    "UNDEFINED",
    "SANITIZE",
    "FORWARD_ONLY",
    "APPEND_FORWARD",
    "SANITIZE_SET",
    "ALWAYS_FORWARD_ONLY",
  ),
  /** Istio's ProxyProtocolConfiguration, which has no fields: that it is there says it. */
  proxyProtocol: message({}),
});

const proxyConfig = message({
  gatewayTopology,
  drainDuration: duration(checkDrainDuration),
  terminationDrainDuration: duration(checkDrainDuration),
  parentShutdownDuration: judged(duration(checkDrainDuration)),
  configPath: given,
  binaryPath: given,
  serviceCluster: given,
  discoveryAddress: address,
  zipkinAddress: address,
  statsdUdpAddress: address,
  discoveryRefreshDelay: refreshDelay,
  connectTimeout: judged(duration(checkConnectTimeout)),
  proxyAdminPort: judged(integer({ least: 1, most: 65_535 })),
  statusPort: judged(integer({ least: 1, most: 65_535 })),
  concurrency: judged(integer({ least: 0 })),
  controlPlaneAuthPolicy: judged(authPolicy),
  tracing: judged(tracing),
  envoyAccessLogService: judged(envoyService),
  envoyMetricsService: judged(envoyService),
  privateKeyProvider: judged(privateKeyProvider),
  ...unusedFields(
    `availabilityZone customConfigFile statNameLength proxyBootstrapTemplatePath interceptionMode
     tracingServiceName sds envoyMetricsServiceAddress proxyMetadata extraStatTags
     proxyStatsMatcher readinessProbe image holdApplicationUntilProxyStarts caCertificatesPem
     runtimeValues proxyHeaders connectionSettings fileFlushInterval fileFlushMinSizeKb
     statsCompression`,
  ),
});

const pathNormalization = message({
  normalization: oneOf("DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"),
  /** Envoy's, which Istio's forms leave at keeping or unescaping. */
  pathWithEscapedSlashesAction: oneOf(
    "IMPLEMENTATION_SPECIFIC_DEFAULT",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
  ),
});

const silent: Reader<never> = () => undefined;

const fields = {
  outboundTrafficPolicy: message({
    mode: oneOf("REGISTRY_ONLY", "ALLOW_ANY"),
    egressProxy: unused,
  }),
  accessLogFile: text,
  accessLogEncoding: oneOf("TEXT", "JSON"),
  connectTimeout: duration((value) => checkConnectTimeout(value, connectTimeoutMax)),
  defaultConfig: proxyConfig,
  pathNormalization,
  ingressClass: text,
  ingressControllerMode: oneOf("UNSPECIFIED", "OFF", "DEFAULT", "STRICT"),
  proxyListenPort: judged(integer({ least: 0, most: 65_535 })),
  egressProxyAddress: proxyAddress,
  mixerAddress: address,
  discoveryAddress: address,
  zipkinAddress: address,
  authPolicy,
  trustDomain,
  trustDomainAliases: list(trustDomain),
  enableAutoMtls: flag,
  extensionProviders,
  rdsRefreshDelay: refreshDelay,
  protocolDetectionTimeout: judged(detectionTimeout),
  defaultTrafficPolicy: judged(defaultTrafficPolicy),
  serviceSettings: judged(serviceSettings),
  defaultHttpRetryPolicy: judged(retryPolicy),
  defaultInboundHttpRetryPolicy: judged(retryPolicy),
  ...unusedFields(
    `mixerCheckServer mixerReportServer disablePolicyChecks
     proxyHttpPort proxyInboundListenPort ingressService ingressSelector
     enableTracing accessLogFormat
     mtlsExcludedServices enableClientSidePolicyCheck sdsUdsPath sdsRefreshDelay
     enableSdsTokenMount sdsUseK8sSaJwt caCertificates
     configSources inboundTrafficPolicy localityLbSetting rootNamespace
     dnsRefreshRate disableMixerHttpReports h2UpgradePolicy inboundClusterStatName
     outboundClusterStatName enablePrometheusMerge verifyCertificateAtClient ca
     defaultProviders discoverySelectors
     meshMTLS
     tlsDefaults hboneIdleTimeout serviceScopeConfigs
     tcpKeepalive thriftConfig policyCheckFailOpen sidecarToTelemetrySessionAffinity
     reportBatchMaxEntries reportBatchMaxTime certificates enableEnvoyAccessLogService
     defaultServiceExportTo defaultVirtualServiceExportTo defaultDestinationRuleExportTo
     disableEnvoyListenerLog authCertsPath
     includeRequestHeadersInJaegerTraces accessLogPath`,
  ),
} satisfies Fields;

const written = message({ ...fields, apiVersion: silent, kind: silent, metadata: silent });

/** Names that make a document without a kind one of these. */
export const meshConfigFields: ReadonlySet<string> = new Set(Object.keys(fields));

/** Undefined after the problems have been reported. */
export function readMeshConfig(
  place: Place,
  { meshDefaults = defaultMeshSettings }: { readonly meshDefaults?: Partial<MeshSettings> } = {},
): MeshSettings | undefined {
  const config = written(place);
  if (config === undefined) return undefined;
  const settings = completeMeshSettings(settingsIn(config), meshDefaults);
  if (!Array.isArray(settings)) return settings;
  for (const name of settings) place.error(`must have a ${fieldOf[name]}, which has no default`);
  return undefined;
}

/** Where each is written. */
const fieldOf: Readonly<Record<keyof MeshSettings, string>> = {
  outboundTrafficPolicy: "outboundTrafficPolicy",
  accessLogFile: "accessLogFile",
  accessLogEncoding: "accessLogEncoding",
  connectTimeoutMs: "connectTimeout",
  drainDurationMs: "drainDuration in its defaultConfig",
  egressProxyAddress: "egressProxyAddress",
  pathNormalization: "pathNormalization",
  ingress: "ingressControllerMode",
  gatewayTopology: "gatewayTopology in its defaultConfig",
  identity: "trustDomain",
  authorizers: "extensionProviders",
};

function settingsIn(config: NonNullable<ValueOf<typeof written>>): Partial<MeshSettings> {
  const { outboundTrafficPolicy, accessLogFile, accessLogEncoding, connectTimeout } = config;
  const { defaultConfig: proxy, egressProxyAddress, pathNormalization } = config;
  const { ingressControllerMode: mode, ingressClass } = config;
  const { ingress } = defaultMeshSettings;
  const drain = proxy?.terminationDrainDuration ?? proxy?.drainDuration;
  return {
    ...(outboundTrafficPolicy?.mode && { outboundTrafficPolicy: outboundTrafficPolicy.mode }),
    ...(accessLogFile !== undefined && { accessLogFile }),
    ...(accessLogEncoding !== undefined && { accessLogEncoding }),
    ...(connectTimeout !== undefined && { connectTimeoutMs: connectTimeout }),
    ...(drain !== undefined && { drainDurationMs: drain }),
    ...(egressProxyAddress !== undefined && { egressProxyAddress }),
    ...(pathNormalization && {
      pathNormalization: toPathNormalization(pathNormalization),
    }),
    ...identityIn(config),
    ...(config.extensionProviders && { authorizers: config.extensionProviders }),
    ...(proxy?.gatewayTopology && { gatewayTopology: toTopology(proxy.gatewayTopology) }),
    ...((mode ?? ingressClass) !== undefined && {
      ingress: {
        mode: mode === undefined || mode === "UNSPECIFIED" ? ingress.mode : mode,
        class: ingressClass ?? ingress.class,
      },
    }),
  };
}

const identityFields = [
  "trustDomain",
  "trustDomainAliases",
  "enableAutoMtls",
  "authPolicy",
] as const;

function identityIn(config: NonNullable<ValueOf<typeof written>>): {
  readonly identity?: IdentitySettings;
} {
  if (!identityFields.some((field) => config.has(field))) return {};
  const { identity: under } = defaultMeshSettings;
  const { trustDomain: domain, trustDomainAliases: aliases = [] } = config;
  return {
    identity: {
      trustDomain: domain === undefined ? under.trustDomain : trustDomainOf(domain),
      trustDomainAliases: aliases.map(trustDomainOf),
      autoMtls: config.enableAutoMtls ?? under.autoMtls,
      authPolicy: config.authPolicy ?? under.authPolicy,
    },
  };
}

function toTopology(written: ValueOf<typeof gatewayTopology>): GatewayTopology {
  const { numTrustedProxies, forwardClientCertDetails: details = "UNDEFINED" } = written;
  const { gatewayTopology: under } = defaultMeshSettings;
  return {
    numTrustedProxies: numTrustedProxies ?? under.numTrustedProxies,
    forwardClientCertDetails: details === "UNDEFINED" ? under.forwardClientCertDetails : details,
    proxyProtocol: written.proxyProtocol !== undefined || under.proxyProtocol,
  };
}

function toPathNormalization(written: ValueOf<typeof pathNormalization>): PathNormalization {
  const { normalization = "DEFAULT", pathWithEscapedSlashesAction: action } = written;
  const decodes = normalization === "DECODE_AND_MERGE_SLASHES";
  const given = action === "IMPLEMENTATION_SPECIFIC_DEFAULT" ? undefined : action;
  if (given !== undefined && (normalization === "NONE" || decodes))
    written.at("pathWithEscapedSlashesAction").error(`has no place beside ${normalization}`);
  const form = normalization === "DEFAULT" ? "BASE" : normalization;
  return {
    normalization: form === "DECODE_AND_MERGE_SLASHES" ? "MERGE_SLASHES" : form,
    escapedSlashes: decodes ? "UNESCAPE_AND_FORWARD" : (given ?? "KEEP_UNCHANGED"),
  };
}
