/**
 * Specs of quotas and of APIs, each with the services that are bound to it, whoever bound them; and
 * what they say about attributes and quotas, compared with what is there.
 */
import { carrierOf } from "../attribute/bag.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { ConstantAttributes, HttpApiSpec } from "../model/http-api-spec.ts";
import type { Declared, PolicySet } from "../model/policy-set.ts";
import type { QuotaSpec, SpecBinding } from "../model/quota-spec.ts";
import { attributeNames } from "./resolve-expression.ts";
import { withoutDuplicates } from "./resolve-name.ts";
import { byText, entryPath, type ProblemList, type Subject, subjectOf } from "./resolve-problem.ts";
import type { BoundSpec, ResolvedPolicy, ResolvedRule } from "./resolved-policy.ts";

export function resolveSpecs(
  set: PolicySet,
  rules: readonly ResolvedRule[],
  context: { readonly vocabulary: Vocabulary; readonly problems: ProblemList },
): Pick<ResolvedPolicy, "quotaSpecs" | "httpApiSpecs"> {
  const { vocabulary, problems } = context;
  const judge = new SpecJudge(vocabulary, quotasOf(rules), problems);
  const ofQuotas = new SpecBinder<QuotaSpec>("QuotaSpec", "spec.quotaSpecs", problems);
  const ofApis = new SpecBinder<HttpApiSpec>("HTTPAPISpec", "spec.apiSpecs", problems);
  for (const [{ spec }, subject] of ofQuotas.declare(set.quotaSpecs)) judge.quotas(spec, subject);
  for (const [{ spec }, subject] of ofApis.declare(set.httpApiSpecs)) judge.api(spec, subject);
  return {
    quotaSpecs: ofQuotas.bind(set.quotaSpecBindings),
    httpApiSpecs: ofApis.bind(set.httpApiSpecBindings),
  };
}

/** What a quota can be asked for by, in small letters ─▶ as it is written. */
function quotasOf(rules: readonly ResolvedRule[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { actions } of rules)
    for (const { variety, instances } of actions)
      if (variety === "quota")
        for (const { shortName } of instances) names.set(shortName.toLowerCase(), shortName);
  return names;
}

interface Bindable<Spec> {
  readonly name: string;
  readonly spec: Spec;
  readonly services: Set<string>;
}

class SpecBinder<Spec> {
  readonly #kind: string;
  readonly #path: string;
  readonly #problems: ProblemList;
  readonly #byName = new Map<string, Bindable<Spec>>();
  readonly #shortNames: string[] = [];

  /** `path`: of the references of a binding. */
  constructor(kind: string, path: string, problems: ProblemList) {
    this.#kind = kind;
    this.#path = path;
    this.#problems = problems;
  }

  declare(specs: readonly Declared<Spec>[]): readonly (readonly [Declared<Spec>, Subject])[] {
    const unique = withoutDuplicates(specs, (one) => subjectOf(one, this.#kind), this.#problems);
    for (const [{ name, spec }, subject] of unique) {
      this.#byName.set(subject.name, { name: subject.name, spec, services: new Set() });
      this.#shortNames.push(name);
    }
    return unique;
  }

  /** Sorted by name. A spec that is bound to no service is none. */
  bind(bindings: readonly Declared<SpecBinding>[]): readonly BoundSpec<Spec>[] {
    const kind = `${this.#kind}Binding`;
    for (const [{ spec }, subject] of withoutDuplicates(
      bindings,
      (one) => subjectOf(one, kind),
      this.#problems,
    ))
      for (const [i, reference] of spec.specs.entries()) {
        const bound = this.#follow(reference, subject, `${this.#path}[${i}]`);
        if (bound !== undefined) for (const service of spec.services) bound.services.add(service);
      }
    return [...this.#byName.values()]
      .filter(({ services }) => services.size > 0)
      .sort((a, b) => byText(a.name, b.name))
      .map(({ name, spec, services }) => ({
        name,
        services: services.has("*") ? ["*"] : [...services].sort(),
        spec,
      }));
  }

  #follow(
    { name, namespace, at }: SpecBinding["specs"][number],
    binding: Subject,
    path: string,
  ): Bindable<Spec> | undefined {
    const where = namespace || binding.namespace;
    const found = this.#byName.get(`${name}.${this.#kind}.${where}`);
    if (found !== undefined) return found;
    const message = `${this.#kind} '${name}.${where}' not found`;
    const suggestion = this.#problems.didYouMean(name, this.#shortNames);
    this.#problems.error(binding, path, { at, message, suggestion, about: "reference" });
    return undefined;
  }
}

class SpecJudge {
  readonly #vocabulary: Vocabulary;
  readonly #quotas: ReadonlyMap<string, string>;
  readonly #problems: ProblemList;

  constructor(vocabulary: Vocabulary, quotas: ReadonlyMap<string, string>, problems: ProblemList) {
    this.#vocabulary = vocabulary;
    this.#quotas = quotas;
    this.#problems = problems;
  }

  quotas({ rules }: QuotaSpec, subject: Subject): void {
    for (const [i, rule] of rules.entries()) {
      for (const [j, clause] of rule.match.entries())
        for (const name of Object.keys(clause))
          this.#matched(name, subject, entryPath(`spec.rules[${i}].match[${j}].clause`, name));
      for (const [j, { quota }] of rule.quotas.entries())
        if (!this.#quotas.has(quota.toLowerCase()))
          this.#problems.warn(subject, `spec.rules[${i}].quotas[${j}].quota`, {
            message: `no rule has a quota '${quota}': what is asked of it is granted`,
            suggestion: this.#problems.didYouMean(quota, this.#quotas.values()),
            about: "reference",
          });
    }
  }

  api({ attributes, patterns }: HttpApiSpec, subject: Subject): void {
    this.#constants(attributes, subject, "spec.attributes.attributes");
    for (const [i, pattern] of patterns.entries())
      this.#constants(pattern.attributes, subject, `spec.patterns[${i}].attributes.attributes`);
  }

  #matched(name: string, subject: Subject, path: string): void {
    const attribute = this.#vocabulary.find(name);
    if (attribute === undefined) this.#unknown(name, subject, path);
    else if (carrierOf(attribute.type) !== "STRING") {
      const message = `attribute '${name}' is of type ${attribute.type}: only text can be matched`;
      this.#problems.error(subject, path, { message });
    }
  }

  #constants(constants: ConstantAttributes, subject: Subject, path: string): void {
    for (const [name, { type }] of Object.entries(constants)) {
      const attribute = this.#vocabulary.find(name);
      if (attribute === undefined) this.#unknown(name, subject, entryPath(path, name));
      else if (carrierOf(attribute.type) !== carrierOf(type)) {
        const message = `attribute '${name}' is of type ${attribute.type}, not ${type}`;
        this.#problems.error(subject, entryPath(path, name), { message });
      }
    }
  }

  #unknown(name: string, subject: Subject, path: string): void {
    const suggestion = this.#problems.didYouMean(name, attributeNames(this.#vocabulary));
    this.#problems.error(subject, path, { message: `unknown attribute ${name}`, suggestion });
  }
}
