/**
 * Which requests from outside reach which services: IngressRule, and Kubernetes' Ingress, of which
 * each path of each host is one rule. Spec table: manager 1.9.
 */
export type PathMatch =
  | { readonly kind: "exact"; readonly value: string }
  | { readonly kind: "prefix"; readonly value: string }
  /** A prefix at a boundary of path segments: "/foo" is not of "/foobar". */
  | { readonly kind: "segmentPrefix"; readonly value: string }
  /** RE2 syntax, the whole path. */
  | { readonly kind: "regex"; readonly value: string };

export interface IngressBackend {
  /** Full host name of the service. */
  readonly host: string;
  /** By number or name; "": its only HTTP port. */
  readonly port: number | string;
}

export interface IngressRule {
  readonly precedence: number;
  /** Empty: any. */
  readonly authority: string;
  /** Absent: any. */
  readonly path?: PathMatch;
  readonly backend: IngressBackend;
  /** "name.namespace" of a certificate: served by TLS, and no other way. Empty: without TLS. */
  readonly tlsSecret: string;
}

export interface Ingress {
  /** Of its annotation, else of its spec. Empty: none. */
  readonly class: string;
  /** For what no rule matches. */
  readonly defaultBackend?: IngressBackend;
  readonly rules: readonly IngressHost[];
  readonly tls: readonly IngressTls[];
  /** Hosts with TLS are served without it too. */
  readonly servesPlain: boolean;
  /** TLS for its hosts is passed on to its backends, as it is. */
  readonly passesTls: boolean;
}

export interface IngressHost {
  /** "example.com", "*.example.com"; empty: any. */
  readonly host: string;
  readonly paths: readonly IngressPath[];
}

export interface IngressPath {
  /** Absent: any. */
  readonly path?: PathMatch;
  readonly backend: IngressBackend;
}

export interface IngressTls {
  /** Empty: all of the Ingress. */
  readonly hosts: readonly string[];
  readonly secretName: string;
}

/** Of MeshConfig: which Ingress is ours. */
export interface IngressControl {
  /** DEFAULT: those of our class, and those without one. STRICT: those of our class alone. */
  readonly mode: "OFF" | "DEFAULT" | "STRICT";
  readonly class: string;
}

/** `written`: the class of an Ingress; empty: it has none. */
export function isIngressOurs(control: IngressControl, written: string): boolean {
  switch (control.mode) {
    case "OFF":
      return false;
    case "DEFAULT":
      return written === "" || written === control.class;
    case "STRICT":
      return written === control.class;
    default:
      return control.mode satisfies never;
  }
}

/** The rule of a path of an Ingress, both counted from 1; the default backend is 0, 0. */
export function ingressRuleName(ingress: string, rule: number, path: number): string {
  return `${ingress}-${rule}-${path}`;
}

/** Whether a path of the first releases was meant as a regular expression. */
export function isPathRegex(path: string): boolean {
  return /[[\](){}*+?|^$\\]/.test(path);
}
