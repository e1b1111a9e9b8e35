/**
 * Every kind that may be written: those we read, those that we know and cannot read yet, and the
 * groups of others that stand beside them in people's files.
 */
import type { ConfigKind, ConfigOf } from "../model/config.ts";
import type { MeshSettings } from "../model/mesh-settings.ts";
import { readIngress } from "./kubernetes-ingress.ts";
import { readMeshConfig } from "./mesh-config.ts";
import { readDestinationRule } from "./networking/destination-rule.ts";
import { readServiceEntry } from "./networking/service-entry.ts";
import { readWorkloadEntry } from "./networking/workload-entry.ts";
import { readGlobalConfig } from "./policy/aspect/global-config.ts";
import { readServiceConfig } from "./policy/aspect/service-config.ts";
import { readAttributeManifest } from "./policy/attribute-manifest.ts";
import { readHandler, typedHandlerReader } from "./policy/handler.ts";
import { readHttpApiSpec } from "./policy/http-api-spec.ts";
import { readInstance, typedInstanceReader } from "./policy/instance.ts";
import { readQuotaSpec } from "./policy/quota-spec.ts";
import { readRule } from "./policy/rule.ts";
import { readHttpApiSpecBinding, readQuotaSpecBinding } from "./policy/spec-binding.ts";
import { adapterKinds, templateKinds } from "./policy/typed-kind.ts";
import { readDestinationPolicy } from "./routing/destination-policy.ts";
import { readEgressRule } from "./routing/egress-rule.ts";
import { readIngressRule } from "./routing/ingress-rule.ts";
import { readRouteRule } from "./routing/route-rule.ts";
import type { Context } from "./routing/service-ref.ts";
import type { Place } from "./schema/place.ts";
import { readAuthenticationPolicy, readMeshPolicy } from "./security/authentication-policy.ts";
import { readAuthorizationPolicy } from "./security/authorization-policy.ts";
import { readPeerAuthentication } from "./security/peer-authentication.ts";
import { readRbacConfig } from "./security/rbac-config.ts";
import { readRequestAuthentication } from "./security/request-authentication.ts";
import { readServiceRole } from "./security/service-role.ts";
import { readServiceRoleBinding } from "./security/service-role-binding.ts";

/** What a reader of a spec is told about the object around it. */
export interface Holding extends Context {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly apiVersion: string;
  readonly meshDefaults?: Partial<MeshSettings>;
}

interface ReadableOf<K extends ConfigKind> {
  readonly kind: K;
  readonly read: (spec: Place, holding: Holding) => ConfigOf<K>["spec"] | undefined;
}

export type Readable = { [K in ConfigKind]: ReadableOf<K> }[ConfigKind] & {
  /** The first is the one we write. */
  readonly apiVersions: readonly string[];
  /** `type:` in the rule DSL of Istio 0.1. */
  readonly type?: string;
  /** `kind:` where it is another word than the kind's own: "denier" of a handler. */
  readonly writtenKind?: string;
  readonly specMayBeEmpty?: boolean;
};

/** `kind:` in a document. */
export function wordFor({ kind, writtenKind = kind }: Readable): string {
  return writtenKind;
}

const configIstio = ["v1alpha2", "v1alpha1", "v1beta1"].map((one) => `config.istio.io/${one}`);
const networking = ["v1", "v1beta1", "v1alpha3"].map((one) => `networking.istio.io/${one}`);

const security = ["v1", "v1beta1"].map((one) => `security.istio.io/${one}`);

const authentication = ["authentication.istio.io/v1alpha1"];
const rbac = ["rbac.istio.io/v1alpha1", "config.istio.io/v1alpha2"];

const kubernetesIngress = [
  "networking.k8s.io/v1",
  "networking.k8s.io/v1beta1",
  "extensions/v1beta1",
];

export const readable: readonly Readable[] = [
  { kind: "RouteRule", apiVersions: configIstio, type: "route-rule", read: readRouteRule },
  {
    kind: "DestinationPolicy",
    apiVersions: configIstio,
    type: "destination-policy",
    read: readDestinationPolicy,
  },
  { kind: "DestinationRule", apiVersions: networking, read: readDestinationRule },
  { kind: "EgressRule", apiVersions: configIstio, read: readEgressRule },
  { kind: "IngressRule", apiVersions: configIstio, type: "ingress-rule", read: readIngressRule },
  { kind: "Ingress", apiVersions: kubernetesIngress, read: readIngress },
  { kind: "ServiceEntry", apiVersions: networking, read: readServiceEntry },
  { kind: "WorkloadEntry", apiVersions: networking, read: readWorkloadEntry },
  {
    kind: "PeerAuthentication",
    apiVersions: security,
    specMayBeEmpty: true,
    read: readPeerAuthentication,
  },
  {
    kind: "RequestAuthentication",
    apiVersions: security,
    specMayBeEmpty: true,
    read: readRequestAuthentication,
  },
  {
    kind: "AuthorizationPolicy",
    apiVersions: security,
    specMayBeEmpty: true,
    read: readAuthorizationPolicy,
  },
  {
    kind: "Policy",
    apiVersions: authentication,
    specMayBeEmpty: true,
    read: readAuthenticationPolicy,
  },
  {
    kind: "MeshPolicy",
    apiVersions: authentication,
    specMayBeEmpty: true,
    read: readMeshPolicy,
  },
  { kind: "ServiceRole", apiVersions: rbac, read: readServiceRole },
  { kind: "ServiceRoleBinding", apiVersions: rbac, read: readServiceRoleBinding },
  { kind: "RbacConfig", apiVersions: rbac, specMayBeEmpty: true, read: readRbacConfig },
  { kind: "ClusterRbacConfig", apiVersions: rbac, specMayBeEmpty: true, read: readRbacConfig },
  { kind: "MeshConfig", apiVersions: ["mesh.istio.io/v1alpha1"], read: readMeshConfig },
  { kind: "rule", apiVersions: configIstio, read: readRule },
  { kind: "handler", apiVersions: configIstio, read: readHandler },
  { kind: "instance", apiVersions: configIstio, read: readInstance },
  { kind: "attributemanifest", apiVersions: configIstio, read: readAttributeManifest },
  { kind: "QuotaSpec", apiVersions: configIstio, read: readQuotaSpec },
  { kind: "QuotaSpecBinding", apiVersions: configIstio, read: readQuotaSpecBinding },
  { kind: "HTTPAPISpec", apiVersions: configIstio, read: readHttpApiSpec },
  { kind: "HTTPAPISpecBinding", apiVersions: configIstio, read: readHttpApiSpecBinding },
  { kind: "ServiceConfig", apiVersions: ["mesh.istio.io/v1alpha1"], read: readServiceConfig },
  { kind: "GlobalConfig", apiVersions: ["mesh.istio.io/v1alpha1"], read: readGlobalConfig },
  ...[...adapterKinds].map(([writtenKind, adapter]) => ({
    kind: "handler" as const,
    writtenKind,
    apiVersions: configIstio,
    specMayBeEmpty: true,
    read: typedHandlerReader(writtenKind, adapter),
  })),
  ...templateKinds.map((writtenKind) => ({
    kind: "instance" as const,
    writtenKind,
    apiVersions: configIstio,
    specMayBeEmpty: true,
    read: typedInstanceReader(writtenKind),
  })),
];

/** Groups whose kinds are rules of this mesh, supported or not. */
export const meshGroups: readonly string[] = [
  "config.istio.io",
  "networking.istio.io",
  "security.istio.io",
  "authentication.istio.io",
  "rbac.istio.io",
  "telemetry.istio.io",
  "extensions.istio.io",
  "install.istio.io",
  "mesh.istio.io",
  "gateway.networking.k8s.io",
];

/** Kinds of those groups that somebody may have, by what will read them. */
export const unsupported: ReadonlySet<string> = new Set(
  `VirtualService Gateway Sidecar ExternalService EndUserAuthenticationPolicySpec
   EndUserAuthenticationPolicySpecBinding adapter template stackdriver servicecontrol circonus
   cloudwatch signalfx solarwinds bypass IstioOperator GatewayClass HTTPRoute GRPCRoute
   TCPRoute TLSRoute UDPRoute ReferenceGrant BackendTLSPolicy`
    .trim()
    .split(/\s+/),
);

/** Objects of a platform: none of our business, and common in files that hold rules too. */
export function isForeign(apiVersion: string, kind: string): boolean {
  if (kind === "Ingress" && kubernetesIngress.includes(apiVersion)) return false;
  const slash = apiVersion.indexOf("/");
  if (slash === -1) return /^v\d+((alpha|beta)\d+)?$/.test(apiVersion);
  const group = apiVersion.slice(0, slash);
  return !meshGroups.includes(group) && (!group.includes(".") || !group.endsWith(".istio.io"));
}
