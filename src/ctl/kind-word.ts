/**
 * The words by which people name kinds: Istio 0.1's `route-rules`, 0.2's `routerules`, plain kinds
 * and short forms; and references like `route-rule reviews` or `RouteRule/default/reviews`.
 */

import { didYouMean } from "../core/suggestion.ts";
import { adapterKinds, templateKinds } from "../dialect/policy/typed-kind.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { type CtlError, usageError } from "./command.ts";

/** Kind, its word in messages (Istio 0.1's), and a short form. */
const kinds: readonly (readonly [kind: string, word: string, short: string])[] = [
  ["RouteRule", "route-rule", "rr"],
  ["DestinationPolicy", "destination-policy", "dp"],
  ["DestinationRule", "destination-rule", "dr"],
  ["EgressRule", "egress-rule", "er"],
  ["IngressRule", "ingress-rule", "ir"],
  ["Ingress", "ingress", "ing"],
  ["ServiceEntry", "service-entry", "se"],
  ["WorkloadEntry", "workload-entry", "we"],
  ["PeerAuthentication", "peer-authentication", "pa"],
  ["RequestAuthentication", "request-authentication", "ra"],
  ["AuthorizationPolicy", "authorization-policy", "ap"],
  ["Policy", "authentication-policy", "authnp"],
  ["MeshPolicy", "mesh-policy", "mp"],
  ["ServiceRole", "service-role", "sr"],
  ["ServiceRoleBinding", "service-role-binding", "srb"],
  ["RbacConfig", "rbac-config", "rc"],
  ["ClusterRbacConfig", "cluster-rbac-config", "crc"],
  ["MeshConfig", "mesh-config", "mc"],
  ["rule", "rule", "ru"],
  ["handler", "handler", "ha"],
  ["instance", "instance", "in"],
  ["attributemanifest", "attribute-manifest", "am"],
  ["QuotaSpec", "quota-spec", "qs"],
  ["QuotaSpecBinding", "quota-spec-binding", "qsb"],
  ["HTTPAPISpec", "http-api-spec", "has"],
  ["HTTPAPISpecBinding", "http-api-spec-binding", "hasb"],
  ["ServiceConfig", "service-config", "sc"],
  ["GlobalConfig", "global-config", "gc"],
];

/** Called after an adapter or a template; they have no other words. */
const typedKinds: readonly string[] = [...adapterKinds.keys(), ...templateKinds];

const byWord: ReadonlyMap<string, string> = new Map([
  ...typedKinds.flatMap((kind) => [[kind, kind] as const, [plural(kind), kind] as const]),
  ...kinds.flatMap(([kind, word, short]) =>
    [word, plural(word), short].flatMap((spelling) => [
      [spelling, kind] as const,
      [spelling.replaceAll("-", ""), kind] as const,
    ]),
  ),
]);

/** What completion offers. */
export const kindWords: readonly string[] = [
  ...kinds.map(([, word]) => plural(word)),
  ...typedKinds,
];

/** "route-rule" of "RouteRule"; a kind that is not in the table stands for itself. */
export function wordOf(kind: string): string {
  return kinds.find(([known]) => known === kind)?.[1] ?? kind;
}

export function kindOf(word: string): string {
  const kind = byWord.get(word.toLowerCase());
  if (kind === undefined) throw unknownKind(word);
  return kind;
}

function unknownKind(word: string): CtlError {
  const near = didYouMean(word, byWord.keys());
  const list = kinds.map(([, spelling]) => spelling).join(", ");
  const hint = near === undefined ? "" : `${near} `;
  return usageError(`no kind is called ${JSON.stringify(word)}`, `${hint}kinds are ${list}`);
}

export interface Reference {
  readonly kind: string;
  readonly namespace: string;
  /** Empty: all of the kind. */
  readonly name: string;
}

/** `route-rule a b`, `route-rule/a`, `RouteRule/default/a dp/b`; mixed as people mix them. */
export function parseReferences(words: readonly string[], namespace: string): Reference[] {
  const references: Reference[] = [];
  let kind: string | undefined;
  let named = true;
  for (const word of words) {
    const parts = word.split("/");
    if (parts.length > 3 || parts[0] === "" || parts.at(-1) === "")
      throw usageError(`${JSON.stringify(word)} is not KIND/NAME or KIND/NAMESPACE/NAME`);
    if (parts.length > 1) {
      const [first, ...others] = parts;
      const name = others.pop()!;
      const of = kindOf(first!);
      references.push({ kind: of, namespace: namespaceOf(of, others[0] ?? namespace), name });
    } else if (kind === undefined) {
      kind = kindOf(word);
      named = false;
    } else {
      references.push({ kind, namespace: namespaceOf(kind, namespace), name: word });
      named = true;
    }
  }
  if (!named && kind !== undefined)
    references.push({ kind, namespace: namespaceOf(kind, namespace), name: "" });
  return references;
}

/** What is the whole mesh's is in one namespace, whatever is asked for. */
export function namespaceOf(kind: string, namespace: string): string {
  if (kind === "ServiceConfig" || kind === "GlobalConfig") return policyRootNamespace;
  return kind === "MeshConfig" ? "default" : namespace;
}

function plural(word: string): string {
  if (word.endsWith("y")) return `${word.slice(0, -1)}ies`;
  return word.endsWith("s") ? `${word}es` : `${word}s`;
}
