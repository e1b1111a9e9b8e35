/**
 * What has to be so for a rule to match, as far as it is said by one text: "its path is one of
 * these, or begins with one of these". Rules are found by such keys (rule-set.ts), so that those
 * that cannot match are not walked.
 */
import type { Condition, Operation, Source } from "../../api/gen/mesh/v1/access_pb.ts";
import type { ConditionKey } from "./condition-key.ts";
import type { AuthorizationFacts } from "./facts.ts";
import { isPathTemplate, literalPrefixOf } from "./path-template.ts";
import { parseTextPattern } from "./text-pattern.ts";
import { withAliases } from "./trust-domain.ts";

/** In the order in which they are preferred where they are equally good. */
export const keyAttributes = [
  "principal",
  "path",
  "serviceAccount",
  "host",
  "requestPrincipal",
  "namespace",
  "method",
] as const;
export type KeyAttribute = (typeof keyAttributes)[number];

export interface RuleKey {
  readonly attribute: KeyAttribute;
  readonly exact: readonly string[];
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
}

/** What a key is compared with. */
export const keyReaders: Readonly<Record<KeyAttribute, (facts: AuthorizationFacts) => string>> = {
  principal: ({ principal }) => principal,
  path: ({ path }) => path,
  serviceAccount: ({ serviceAccount }) => serviceAccount,
  host: ({ authority }) => authority,
  requestPrincipal: ({ token }) => token?.principal ?? "",
  namespace: ({ namespace }) => namespace,
  method: ({ method }) => method,
};

const identity = (text: string): string => text;
const noAliases = (texts: readonly string[]): readonly string[] => texts;

/** Collects the keys of one rule. */
export class RuleKeys {
  readonly keys: RuleKey[] = [];

  /** `isTcp`: what they say of requests is not read. */
  sources(from: readonly Source[], trustDomains: readonly string[], isTcp: boolean): void {
    const aliases = (texts: readonly string[]) => withAliases(texts, trustDomains);
    this.#add(
      "principal",
      from.map(({ principals }) => aliases(principals)),
    );
    this.#add(
      "serviceAccount",
      from.map(({ serviceAccounts }) => serviceAccounts),
    );
    this.#add(
      "namespace",
      from.map(({ namespaces }) => namespaces),
    );
    if (isTcp) return;
    this.#add(
      "requestPrincipal",
      from.map(({ requestPrincipals }) => requestPrincipals),
    );
  }

  operations(to: readonly Operation[]): void {
    this.#add(
      "path",
      to.map(({ paths }) => paths),
    );
    this.#add(
      "method",
      to.map(({ methods }) => methods),
    );
    this.#add(
      "host",
      to.map(({ hosts }) => hosts),
      (host) => host.toLowerCase(),
    );
  }

  condition(key: ConditionKey, { key: name, values }: Condition, domains: readonly string[]): void {
    const attribute = conditionAttributes[name];
    if (attribute === undefined) return;
    const all = key.at === "principal" ? withAliases(values, domains) : noAliases(values);
    this.#add(attribute, [all]);
  }

  /** A key only where each alternative says something of the attribute that can be looked up. */
  #add(
    attribute: KeyAttribute,
    alternatives: readonly (readonly string[])[],
    normal: (text: string) => string = identity,
  ): void {
    if (alternatives.length === 0) return;
    const exact = new Set<string>();
    const prefixes = new Set<string>();
    const suffixes = new Set<string>();
    for (const texts of alternatives) {
      if (texts.length === 0) return;
      for (const text of texts) {
        const isTemplate = attribute === "path" && isPathTemplate(text);
        const pattern = isTemplate
          ? ({ kind: "prefix", text: literalPrefixOf(text) } as const)
          : parseTextPattern(normal(text));
        if (pattern.kind === "exact") exact.add(pattern.text);
        else if (pattern.kind === "present" || pattern.text === "") return;
        else if (pattern.kind === "prefix") prefixes.add(pattern.text);
        else suffixes.add(pattern.text);
      }
    }
    const lists = { exact: [...exact], prefixes: [...prefixes], suffixes: [...suffixes] };
    this.keys.push({ attribute, ...lists });
  }
}

const conditionAttributes: Readonly<Record<string, KeyAttribute>> = {
  "source.principal": "principal",
  "source.namespace": "namespace",
  "source.serviceAccount": "serviceAccount",
  "request.auth.principal": "requestPrincipal",
};
