/** Objects of security.istio.io in proto-JSON, for `get -o yaml`; what is a default is left out. */
import type { AccessRule, AuthorizationPolicy } from "../model/authorization-policy.ts";
import type { Config, ConfigKind, ConfigOf } from "../model/config.ts";
import type { ExternalAuthorizer } from "../model/external-authorizer.ts";
import type { PeerAuthentication } from "../model/peer-authentication.ts";
import type { JwtRule, RequestAuthentication } from "../model/request-authentication.ts";
import { formatDuration } from "../model/validate-duration.ts";
import type { TargetReference, WorkloadTarget } from "../model/workload-target.ts";

type Json = Readonly<Record<string, unknown>>;

const accessKinds = [
  "PeerAuthentication",
  "RequestAuthentication",
  "AuthorizationPolicy",
] as const satisfies readonly ConfigKind[];

export type AccessConfigObject = ConfigOf<(typeof accessKinds)[number]>;

export function isAccess(config: Config): config is AccessConfigObject {
  return (accessKinds as readonly ConfigKind[]).includes(config.kind);
}

export function accessJson(config: AccessConfigObject): Json {
  switch (config.kind) {
    case "PeerAuthentication":
      return peerJson(config.spec);
    case "RequestAuthentication":
      return requestJson(config.spec);
    case "AuthorizationPolicy":
      return authorizationJson(config.spec);
    default:
      return config satisfies never;
  }
}

const groups: Readonly<Record<TargetReference["kind"], string>> = {
  Service: "",
  ServiceEntry: "networking.istio.io",
  Gateway: "gateway.networking.k8s.io",
  GatewayClass: "gateway.networking.k8s.io",
};

function targetJson({ selector, references }: WorkloadTarget): Json {
  return {
    ...(selector && { selector: { matchLabels: selector } }),
    ...(references && {
      targetRefs: references.map(({ kind, name }) => ({ group: groups[kind], kind, name })),
    }),
  };
}

function peerJson({ mode, ports, ...target }: PeerAuthentication): Json {
  const entries = Object.entries(ports).map(([port, own]) => [port, { mode: own }]);
  return {
    ...targetJson(target),
    ...(mode !== "UNSET" && { mtls: { mode } }),
    ...(entries.length > 0 && { portLevelMtls: Object.fromEntries(entries) }),
  };
}

function requestJson({ rules, ...target }: RequestAuthentication): Json {
  return { ...targetJson(target), ...(rules.length > 0 && { jwtRules: rules.map(jwtJson) }) };
}

function jwtJson({ timeoutMs, fromHeaders, ...rule }: JwtRule): Json {
  return {
    ...said(rule),
    ...(fromHeaders.length > 0 && { fromHeaders: fromHeaders.map(said) }),
    ...(timeoutMs !== 5_000 && { timeout: formatDuration(timeoutMs) }),
  };
}

function authorizationJson({ action, provider, rules, ...target }: AuthorizationPolicy): Json {
  return {
    ...targetJson(target),
    ...(action !== "ALLOW" && { action }),
    ...(provider !== "" && { provider: { name: provider } }),
    ...(rules.length > 0 && { rules: rules.map(ruleJson) }),
  };
}

function ruleJson({ from, to, when }: AccessRule): Json {
  return {
    ...(from.length > 0 && { from: from.map((source) => ({ source })) }),
    ...(to.length > 0 && { to: to.map((operation) => ({ operation })) }),
    ...(when.length > 0 && { when: when.map(said) }),
  };
}

/** As an extension provider of a MeshConfig. */
export function authorizerJson(authorizer: ExternalAuthorizer): Json {
  const { name, protocol, timeoutMs, statusOnError, body, additionalHeaders, ...rest } = authorizer;
  const { includeRequestHeaders, ...texts } = rest;
  const provider = {
    ...said({ ...texts, includeRequestHeadersInCheck: includeRequestHeaders }),
    ...(timeoutMs !== undefined && { timeout: formatDuration(timeoutMs) }),
    ...(statusOnError > 0 && { statusOnError: String(statusOnError) }),
    ...(additionalHeaders.length > 0 && {
      includeAdditionalHeadersInCheck: Object.fromEntries(
        additionalHeaders.map((header) => [header.name, header.value]),
      ),
    }),
    ...(body && {
      includeRequestBodyInCheck: said({
        maxRequestBytes: body.maxBytes,
        allowPartialMessage: body.allowPartial,
        packAsBytes: body.packAsBytes,
      }),
    }),
  };
  return { name, [protocol === "HTTP" ? "envoyExtAuthzHttp" : "envoyExtAuthzGrpc"]: provider };
}

/** Without texts and lists that are empty, and without false. */
function said(json: object): Json {
  const entries = Object.entries(json).filter(
    ([, value]) => value !== "" && value !== false && !(Array.isArray(value) && value.length === 0),
  );
  return Object.fromEntries(entries);
}
