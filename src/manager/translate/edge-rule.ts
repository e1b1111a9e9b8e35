/**
 * IngressRule and Ingress ─▶ one list of what is let in: a host, a path, a backend, by TLS or
 * without it. In order of evaluation. Spec table: manager 1.9.
 */
import type { ConfigOf } from "../../model/config.ts";
import {
  type IngressBackend,
  type IngressTls,
  ingressRuleName,
  type PathMatch,
} from "../../model/ingress.ts";
import { compare } from "../order.ts";

export interface EdgeRule {
  readonly config: ConfigOf<"IngressRule"> | ConfigOf<"Ingress">;
  /** "default/bookinfo-1-2" */
  readonly name: string;
  readonly precedence: number;
  /** Lower case; empty: any. */
  readonly authority: string;
  readonly path: PathMatch | undefined;
  readonly backend: IngressBackend;
  readonly plain: boolean;
  /** "name.namespace"; empty: not by TLS, or by TLS that does not end here. */
  readonly tlsSecret: string;
  /** TLS is passed on to the backend, as it is, and nothing else. */
  readonly passesTls: boolean;
}

/** `configs` by rising key. By falling precedence, then from the narrowest path to the widest. */
export function edgeRulesOf(
  configs: readonly (ConfigOf<"IngressRule"> | ConfigOf<"Ingress">)[],
): readonly EdgeRule[] {
  return configs
    .flatMap((config) => (config.kind === "IngressRule" ? [ofRule(config)] : ofIngress(config)))
    .sort((a, b) => b.precedence - a.precedence || comparePaths(a.path, b.path));
}

function ofRule(config: ConfigOf<"IngressRule">): EdgeRule {
  const { meta, spec } = config;
  const { path, ...rest } = spec;
  const name = `${meta.namespace}/${meta.name}`;
  // A gateway goes by the host alone.
  const authority = spec.authority.replace(/:\d*$/, "");
  return { config, name, ...rest, authority, path, plain: spec.tlsSecret === "", passesTls: false };
}

function ofIngress(config: ConfigOf<"Ingress">): readonly EdgeRule[] {
  const { meta, spec } = config;
  const ruleOf = (
    [rule, path]: readonly [number, number],
    authority: string,
    to: { readonly path?: PathMatch; readonly backend: IngressBackend },
  ): EdgeRule => {
    const { passesTls } = spec;
    const secret = passesTls ? "" : secretOf(authority, spec.tls);
    return {
      config,
      name: `${meta.namespace}/${ingressRuleName(meta.name, rule, path)}`,
      precedence: 0,
      authority,
      path: to.path,
      backend: to.backend,
      plain: !passesTls && (secret === "" || spec.servesPlain),
      passesTls: passesTls && authority !== "",
      tlsSecret: secret === "" ? "" : `${secret}.${meta.namespace}`,
    };
  };
  const { defaultBackend: backend } = spec;
  return [
    ...spec.rules.flatMap(({ host, paths }, i) =>
      paths.map((path, j) => ruleOf([i + 1, j + 1], host, path)),
    ),
    ...(backend === undefined ? [] : [ruleOf([0, 0], "", { backend })]),
  ];
}

/** A wildcard of a certificate stands for one label (RFC 9525 6.3); the host's own is the same. */
function secretOf(host: string, tls: readonly IngressTls[]): string {
  const wildcard = host.replace(/^[^.]+/, "*");
  const named = tls.find(({ hosts }) => hosts.includes(host) || hosts.includes(wildcard));
  return (named ?? tls.find(({ hosts }) => hosts.length === 0))?.secretName ?? "";
}

const ranks = { exact: 0, regex: 1, segmentPrefix: 2, prefix: 2 } as const;

function comparePaths(a: PathMatch | undefined, b: PathMatch | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const byRank = ranks[a.kind] - ranks[b.kind];
  if (byRank !== 0) return byRank;
  if (a.kind === "exact") return compare(a.value, b.value);
  // "segmentPrefix" is the narrower of two with one value.
  return b.value.length - a.value.length || compare(a.value, b.value) || compare(b.kind, a.kind);
}
