/** Settings of the whole mesh: the part of MeshConfig that we obey. Spec table: manager 3. */
import type { ExternalAuthorizer } from "./external-authorizer.ts";
import type { IngressControl } from "./ingress.ts";

export interface MeshSettings {
  readonly outboundTrafficPolicy: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** Empty: no access log. */
  readonly accessLogFile: string;
  readonly accessLogEncoding: "TEXT" | "JSON";
  readonly connectTimeoutMs: number;
  readonly drainDurationMs: number;
  /** "istio-egress:80": where HTTP to external services is sent. Empty: to them directly. */
  readonly egressProxyAddress: string;
  readonly pathNormalization: PathNormalization;
  readonly ingress: IngressControl;
  readonly gatewayTopology: GatewayTopology;
  readonly identity: IdentitySettings;
  /** Whom CUSTOM policies may name. */
  readonly authorizers: readonly ExternalAuthorizer[];
}

export interface IdentitySettings {
  /** Empty: as the manager's authority has it; another one counts as an alias. */
  readonly trustDomain: string;
  /** Domains whose identities count as those of the mesh. */
  readonly trustDomainAliases: readonly string[];
  /** Proxies speak mutual TLS to each other wherever both can. */
  readonly autoMtls: boolean;
  /** Callers have to have an identity where no PeerAuthentication says anything. */
  readonly authPolicy: "NONE" | "MUTUAL_TLS";
}

/** Whom a gateway believes. */
export interface GatewayTopology {
  /** Proxies in front of it. */
  readonly numTrustedProxies: number;
  readonly forwardClientCertDetails:
    | "SANITIZE"
    | "FORWARD_ONLY"
    | "APPEND_FORWARD"
    | "SANITIZE_SET"
    | "ALWAYS_FORWARD_ONLY";
  /** Each connection has to say by the PROXY protocol who called. */
  readonly proxyProtocol: boolean;
}

/** What `given` leaves out is as in `under`; or the names of what neither of them has. */
export function completeMeshSettings(
  given: Partial<MeshSettings>,
  under: Partial<MeshSettings>,
): MeshSettings | (keyof MeshSettings)[] {
  const whole = { ...under, ...given };
  return isComplete(whole) ? whole : names.filter((name) => whole[name] === undefined);
}

function isComplete(settings: Partial<MeshSettings>): settings is MeshSettings {
  return names.every((name) => settings[name] !== undefined);
}

export interface PathNormalization {
  readonly normalization: "NONE" | "BASE" | "MERGE_SLASHES";
  readonly escapedSlashes:
    | "KEEP_UNCHANGED"
    | "REJECT_REQUEST"
    | "UNESCAPE_AND_REDIRECT"
    | "UNESCAPE_AND_FORWARD";
}

export const defaultMeshSettings: MeshSettings = {
  outboundTrafficPolicy: "ALLOW_ANY",
  accessLogFile: "",
  accessLogEncoding: "TEXT",
  connectTimeoutMs: 1_000,
  drainDurationMs: 30_000,
  egressProxyAddress: "",
  pathNormalization: { normalization: "BASE", escapedSlashes: "KEEP_UNCHANGED" },
  ingress: { mode: "STRICT", class: "istio" },
  gatewayTopology: {
    numTrustedProxies: 0,
    forwardClientCertDetails: "SANITIZE_SET",
    proxyProtocol: false,
  },
  identity: { trustDomain: "", trustDomainAliases: [], autoMtls: true, authPolicy: "NONE" },
  authorizers: [],
};

const names = Object.keys(defaultMeshSettings) as (keyof MeshSettings)[];
