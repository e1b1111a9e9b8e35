/**
 * Ingress of Kubernetes: `extensions/v1beta1` as Istio's first controllers read it, and
 * `networking.k8s.io` as its later ones do. What an era means by a path, by several certificates
 * and by TLS beside plain HTTP is decided here. Spec table: manager 1.9.
 */
import type {
  Ingress,
  IngressBackend,
  IngressHost,
  IngressPath,
  IngressTls,
  PathMatch,
} from "../model/ingress.ts";
import { isPathRegex } from "../model/ingress.ts";
import { checkDnsLabel, checkModernDomain, checkPortName } from "../model/validate-name.ts";
import { checkRegex } from "./routing/route-match.ts";
import type { Context } from "./routing/service-ref.ts";
import { ignored, list, message, type Reader, type ValueOf } from "./schema/message.ts";
import type { Place } from "./schema/place.ts";
import { checkedText, integer, oneOf, text } from "./schema/scalar.ts";

/** Of the object around the spec. */
export interface IngressContext extends Context {
  readonly apiVersion: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export const classAnnotation = "kubernetes.io/ingress.class";
const plainAnnotation = "kubernetes.io/ingress.allow-http";
/** As the controllers of nginx and HAProxy have it. */
const passAnnotations = [
  "nginx.ingress.kubernetes.io/ssl-passthrough",
  "haproxy-ingress.github.io/ssl-passthrough",
  "ingress.kubernetes.io/ssl-passthrough",
];

const portNumber = integer({ least: 1, most: 65_535 });

/** A number, or a name. */
const port = (place: Place): number | string | undefined => {
  const { node } = place;
  const value = node !== null && node !== undefined && "value" in node ? node.value : undefined;
  return typeof value === "number" ? portNumber(place) : checkedText(checkPortName)(place);
};

const unsupported: Reader<never> = (place) => {
  place.error("is not supported: write a service");
  return undefined;
};

const backend = message({
  service: message({
    name: checkedText(checkDnsLabel),
    port: message({ number: portNumber, name: checkedText(checkPortName) }),
  }),
  serviceName: checkedText(checkDnsLabel),
  servicePort: port,
  resource: unsupported,
});

const path = message({
  path: text,
  pathType: oneOf("ImplementationSpecific", "Exact", "Prefix"),
  backend,
});

const host = checkedText((value) => {
  if (value === "") return undefined;
  if (value === "*") return 'must be left out where any host is meant, not "*"';
  return checkModernDomain(value, "wildcard");
});

const written = message(
  {
    ingressClassName: text,
    defaultBackend: backend,
    rules: list(message({ host, http: message({ paths: list(path) }) })),
    tls: list(message({ hosts: list(host), secretName: text })),
    loadBalancer: ignored("has no effect"),
  },
  { backend: "defaultBackend" },
);

type Written = NonNullable<ValueOf<typeof written>>;

/** Undefined after the problems have been reported. */
export function readIngress(place: Place, context: IngressContext): Ingress | undefined {
  const spec = written(place);
  if (spec === undefined) return undefined;
  const isFirst = context.apiVersion.startsWith("extensions/");
  if (!spec.has("defaultBackend") && (spec.rules ?? []).length === 0)
    spec.at().error("must have a default backend or rules");
  const fallback = spec.defaultBackend && toBackend(spec.defaultBackend, context);
  const rules = (spec.rules ?? []).map((rule): IngressHost => {
    const paths = rule.http?.paths ?? [];
    if (paths.length === 0) rule.at(rule.http && "http").error("must have paths");
    return {
      host: (rule.host ?? "").toLowerCase(),
      paths: paths.flatMap((one) => toPath(one, context) ?? []),
    };
  });
  const { annotations } = context;
  const passesTls = passAnnotations.some((name) => annotations[name] === "true");
  if (passesTls) checkPassing(spec);
  return {
    class: annotations[classAnnotation] ?? spec.ingressClassName ?? "",
    ...(fallback && { defaultBackend: fallback }),
    rules,
    tls: isFirst ? firstTls(spec) : laterTls(spec),
    servesPlain: !isFirst && annotations[plainAnnotation] !== "false",
    passesTls,
  };
}

/** What is encrypted can be told apart by the name that it asks for, and by nothing else. */
function checkPassing(spec: ValueOf<typeof written>): void {
  const why = "TLS is passed on by its host alone (ssl-passthrough)";
  if (spec.has("tls")) spec.at("tls").warn(`has no effect: ${why}`);
  if (spec.has("defaultBackend")) spec.at("defaultBackend").warn(`has no effect: ${why}`);
  for (const rule of spec.rules ?? []) {
    if ((rule.host ?? "") === "") rule.at().error(`must have a host: ${why}`);
    const [first, ...more] = rule.http?.paths ?? [];
    if (more.length > 0) rule.at("http").warn(`only the first path counts: ${why}`);
    if (!["", "/", "/*"].includes(first?.path ?? ""))
      first?.at("path").warn(`has no effect: ${why}`);
  }
}

function toPath(
  { path: written, pathType, backend: to, ...one }: ValueOf<typeof path>,
  context: IngressContext,
): IngressPath | undefined {
  if (to === undefined) {
    if (!one.has("backend")) one.at().error("must have a backend");
    return undefined;
  }
  const found = toBackend(to, context);
  if (found === undefined) return undefined;
  const match = toMatch(written ?? "", pathType, one.at(one.has("path") ? "path" : undefined));
  return { ...(match && { path: match }), backend: found };
}

/** Undefined: any path. */
function toMatch(
  value: string,
  type: "ImplementationSpecific" | "Exact" | "Prefix" | undefined,
  place: Place,
): PathMatch | undefined {
  if (type === "Exact" || type === "Prefix") {
    if (!value.startsWith("/")) place.error("must begin with a slash");
    if (type === "Exact") return { kind: "exact", value };
    const segments = value.replace(/\/+$/, "");
    return segments === "" ? undefined : { kind: "segmentPrefix", value: segments };
  }
  if (["", "/", "*", "/*", ".*", "/.*"].includes(value))
    return value === "/" ? { kind: "exact", value } : undefined;
  const prefix = /^(.*?)(?:\.\*|(?<=\/)\*)$/.exec(value)?.[1];
  if (prefix !== undefined && !isPathRegex(prefix))
    return { kind: "prefix", value: value.endsWith("/*") ? prefix.replace(/\/$/, "") : prefix };
  if (!isPathRegex(value)) {
    if (!value.startsWith("/")) place.error("must begin with a slash");
    return { kind: "exact", value };
  }
  return checkRegex(place, value) ? { kind: "regex", value } : undefined;
}

function toBackend(
  { service, serviceName, servicePort, ...one }: ValueOf<typeof backend>,
  { namespace, domain }: IngressContext,
): IngressBackend | undefined {
  if (service !== undefined && one.has("serviceName"))
    one.at("serviceName").error("must not stand beside service");
  const name = service?.name ?? serviceName;
  if (name === undefined) {
    if (!one.has("service") && !one.has("serviceName")) one.at().error("must have a service");
    else if (service !== undefined && !service.has("name")) service.at().error("must have a name");
    return undefined;
  }
  const { number, name: called } = service?.port ?? {};
  if (number !== undefined && called !== undefined)
    service?.at("port").error("must have a number or a name, not both");
  if ((number ?? called ?? servicePort) === undefined && !one.has("servicePort"))
    (service ?? one).at().error("must have a port");
  const suffix = domain === "" ? "" : `.${namespace}.svc.${domain}`;
  return { host: `${name}${suffix}`, port: number ?? called ?? servicePort ?? "" };
}

/** One certificate was for all: of several that of the smallest name. */
function firstTls(spec: Written): readonly IngressTls[] {
  const names = (spec.tls ?? []).flatMap(({ secretName }) => secretName || []).toSorted();
  const [secretName, ...others] = new Set(names);
  if (secretName === undefined) return [];
  if (others.length > 0)
    spec.at("tls").warn(`names several certificates: ${secretName} is used for all hosts`);
  return [{ hosts: [], secretName }];
}

function laterTls(spec: Written): readonly IngressTls[] {
  return (spec.tls ?? []).flatMap(({ hosts = [], secretName = "", ...one }) => {
    if (secretName !== "") return [{ hosts: hosts.map((name) => name.toLowerCase()), secretName }];
    one.at().warn("has no effect: it names no certificate");
    return [];
  });
}
