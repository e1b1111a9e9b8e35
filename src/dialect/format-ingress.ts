/** Ingress rules ─▶ proto-JSON of their era, and Kubernetes' Ingress ─▶ its own JSON. */
import type {
  Ingress,
  IngressBackend,
  IngressPath,
  IngressRule,
  PathMatch,
} from "../model/ingress.ts";
import { classAnnotation } from "./kubernetes-ingress.ts";

type Json = Readonly<Record<string, unknown>>;

export function ingressRuleJson(rule: IngressRule, era: "0.1" | "v1alpha2"): Json {
  const { backend, tlsSecret, precedence, authority, path } = rule;
  const headers = {
    ...(authority !== "" && { authority: { exact: authority } }),
    ...(path && { uri: { [path.kind]: path.value } }),
  };
  const conditions = Object.keys(headers).length > 0 ? headers : undefined;
  const byName = typeof backend.port === "string";
  if (era === "v1alpha2")
    return {
      destination: { service: backend.host },
      [byName ? "destinationPortName" : "destinationPort"]: backend.port,
      precedence,
      tlsSecret,
      match: conditions && { request: { headers: conditions } },
    };
  const tags = {
    ...(backend.port !== "" && {
      [byName ? "servicePortName" : "servicePortNum"]: String(backend.port),
    }),
    ...(tlsSecret !== "" && { tlsSecret }),
  };
  return {
    destination: backend.host,
    precedence,
    match: conditions && { httpHeaders: conditions },
    route: Object.keys(tags).length > 0 ? [{ tags, weight: 100 }] : [],
  };
}

export interface IngressEnvelope {
  readonly apiVersion: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export function ingressJson(ingress: Ingress, { apiVersion, annotations }: IngressEnvelope): Json {
  const { defaultBackend, rules, tls } = ingress;
  const isV1 = apiVersion === "networking.k8s.io/v1";
  const toBackend = (backend: IngressBackend): Json => backendJson(backend, isV1);
  return {
    ingressClassName: annotations[classAnnotation] === undefined ? ingress.class : undefined,
    [isV1 ? "defaultBackend" : "backend"]: defaultBackend && toBackend(defaultBackend),
    rules: rules.map(({ host, paths }) => ({
      ...(host !== "" && { host }),
      http: { paths: paths.map((path) => pathJson(path, toBackend)) },
    })),
    tls: tls.map(({ hosts, secretName }) => ({
      ...(hosts.length > 0 && { hosts }),
      secretName,
    })),
  };
}

function pathJson({ path, backend }: IngressPath, toBackend: (of: IngressBackend) => Json): Json {
  return { ...pathFields(path), backend: toBackend(backend) };
}

function pathFields(path: PathMatch | undefined): Json {
  switch (path?.kind) {
    case undefined:
      return { path: "/", pathType: "Prefix" };
    case "exact":
      // Some of the first releases' paths do not begin with a slash.
      return path.value.startsWith("/")
        ? { path: path.value, pathType: "Exact" }
        : { path: path.value, pathType: "ImplementationSpecific" };
    case "segmentPrefix":
      return { path: path.value, pathType: "Prefix" };
    case "prefix":
      return { path: `${path.value}.*`, pathType: "ImplementationSpecific" };
    case "regex":
      return { path: path.value, pathType: "ImplementationSpecific" };
  }
}

/** The service's short name: an Ingress leads to services of its own namespace alone. */
function backendJson({ host, port }: IngressBackend, isV1: boolean): Json {
  const name = host.split(".")[0];
  if (!isV1) return { serviceName: name, servicePort: port };
  return { service: { name, port: typeof port === "number" ? { number: port } : { name: port } } };
}
