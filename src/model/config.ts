/**
 * What operators declare, in the one form that everything behind the dialects knows.
 *
 * A Config is one object of one kind; `origin` is where its author wrote it. Dialects decide the
 * defaults of their era when they make these, so an absent value here means "none", never "the
 * default of some version".
 */
import type { Position } from "../core/problem.ts";
import type { ServiceConfig } from "./aspect-config.ts";
import type { AttributeManifest } from "./attribute-manifest.ts";
import type { AuthenticationPolicy } from "./authentication-policy.ts";
import type { AuthorizationPolicy } from "./authorization-policy.ts";
import type { DestinationPolicy } from "./destination-policy.ts";
import type { DestinationRule } from "./destination-rule.ts";
import type { EgressRule } from "./egress-rule.ts";
import type { GlobalConfig } from "./global-config.ts";
import type { Handler } from "./handler.ts";
import type { HttpApiSpec } from "./http-api-spec.ts";
import type { Ingress, IngressRule } from "./ingress.ts";
import type { Instance } from "./instance.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { PeerAuthentication } from "./peer-authentication.ts";
import type { PolicyRule } from "./policy-rule.ts";
import type { QuotaSpec, SpecBinding } from "./quota-spec.ts";
import type { RequestAuthentication } from "./request-authentication.ts";
import type { RouteRule } from "./route-rule.ts";
import type { ServiceEntry, WorkloadEntry } from "./service.ts";
import type { RbacConfig, ServiceRole, ServiceRoleBinding } from "./service-role.ts";

export interface ConfigMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface Of<Kind extends string, Spec> {
  readonly kind: Kind;
  /** "config.istio.io/v1alpha2"; empty for the rule DSL of Istio 0.1. */
  readonly apiVersion: string;
  readonly meta: ConfigMeta;
  readonly origin: Position;
  /** Where the fields of the spec stand, by name: for what is found wrong later. */
  readonly fields?: Readonly<Record<string, Position>>;
  readonly spec: Spec;
  /** The document as its author wrote it. */
  readonly text: string;
}

export type Config =
  | Of<"RouteRule", RouteRule>
  | Of<"DestinationPolicy", DestinationPolicy>
  | Of<"DestinationRule", DestinationRule>
  | Of<"EgressRule", EgressRule>
  | Of<"IngressRule", IngressRule>
  | Of<"Ingress", Ingress>
  | Of<"ServiceEntry", ServiceEntry>
  | Of<"WorkloadEntry", WorkloadEntry>
  | Of<"PeerAuthentication", PeerAuthentication>
  | Of<"RequestAuthentication", RequestAuthentication>
  | Of<"AuthorizationPolicy", AuthorizationPolicy>
  | Of<"Policy", AuthenticationPolicy>
  | Of<"MeshPolicy", AuthenticationPolicy>
  | Of<"ServiceRole", ServiceRole>
  | Of<"ServiceRoleBinding", ServiceRoleBinding>
  | Of<"RbacConfig", RbacConfig>
  | Of<"ClusterRbacConfig", RbacConfig>
  | Of<"MeshConfig", MeshSettings>
  | Of<"rule", PolicyRule>
  | Of<"handler", Handler>
  | Of<"instance", Instance>
  | Of<"attributemanifest", AttributeManifest>
  | Of<"QuotaSpec", QuotaSpec>
  | Of<"QuotaSpecBinding", SpecBinding>
  | Of<"HTTPAPISpec", HttpApiSpec>
  | Of<"HTTPAPISpecBinding", SpecBinding>
  | Of<"ServiceConfig", ServiceConfig>
  | Of<"GlobalConfig", GlobalConfig>;

export type ConfigKind = Config["kind"];

export type ConfigOf<K extends ConfigKind> = Extract<Config, { kind: K }>;

/** As its document says: handlers and instances may be called after their adapter or template. */
export function writtenKind(config: Config): string {
  const isNamed = config.kind === "handler" || config.kind === "instance";
  return isNamed ? config.spec.writtenKind : config.kind;
}

/** "RouteRule/default/reviews-canary": unique in a store, and the tie-break between equals. */
export function configKey(config: Config): string {
  return `${writtenKind(config)}/${config.meta.namespace}/${config.meta.name}`;
}

export function ofKind<K extends ConfigKind>(configs: readonly Config[], kind: K): ConfigOf<K>[] {
  return configs.filter((config): config is ConfigOf<K> => config.kind === kind);
}
