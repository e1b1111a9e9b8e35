/**
 * QuotaSpecs, compiled: service and attributes of an exchange ─▶ which quotas it takes from, and
 * how much. Spec table: mixer 2.7.
 */
import { type AttributeBag, carrierOf } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import { compileRegex } from "../expression/standard-function.ts";
import type { AttributeMatch, QuotaCharge, QuotaSpec, StringMatch } from "../model/quota-spec.ts";
import type { BoundSpec } from "./resolved-policy.ts";

interface Clause {
  readonly slot: number;
  readonly holds: (value: string) => boolean;
}

interface ChargingRule {
  /** All clauses of one; none: always. */
  readonly matches: readonly (readonly Clause[])[];
  readonly quotas: readonly QuotaCharge[];
}

const nothing: readonly QuotaCharge[] = [];

export class QuotaMatcher {
  /** Of specs that name the service. */
  readonly #byService = new Map<string, ChargingRule[]>();
  readonly #forAll: readonly ChargingRule[];
  /** No service is charged. */
  readonly isEmpty: boolean;
  /** Slots that are read. */
  readonly reads: ReadonlySet<number>;

  constructor(specs: readonly BoundSpec<QuotaSpec>[], vocabulary: Vocabulary) {
    const compiled = specs.map(({ services, spec }) => ({
      services,
      rules: spec.rules.map((rule) => compileRule(rule, vocabulary)),
    }));
    const [forAll, named] = [[] as ChargingRule[], this.#byService];
    for (const { services, rules } of compiled) {
      if (services.includes("*")) forAll.push(...rules);
      else
        for (const service of services) {
          const own = named.get(service) ?? [];
          own.push(...rules);
          named.set(service, own);
        }
    }
    this.#forAll = forAll;
    const all = compiled.flatMap(({ rules }) => rules);
    this.isEmpty = all.length === 0;
    this.reads = new Set(all.flatMap(({ matches }) => matches.flat().map(({ slot }) => slot)));
  }

  /** `service`: its full host name. A quota that several rules charge is charged their sum. */
  chargesOf(service: string, bag: AttributeBag): readonly QuotaCharge[] {
    const own = this.#byService.get(service);
    const charges = own === undefined ? undefined : collect(own, bag, undefined);
    return collect(this.#forAll, bag, charges) ?? nothing;
  }
}

function compileRule({ match, quotas }: QuotaSpec["rules"][number], of: Vocabulary): ChargingRule {
  const matches = match.map((one) => compileMatch(one, of)).filter((one) => one !== undefined);
  // What can never hold is not the same as a rule that asks for nothing.
  const never = match.length > 0 && matches.length === 0;
  return { matches, quotas: never ? [] : quotas };
}

/** Undefined: it can never hold, since an attribute is unknown or no text. */
function compileMatch(match: AttributeMatch, vocabulary: Vocabulary): Clause[] | undefined {
  const clauses: Clause[] = [];
  for (const [name, one] of Object.entries(match)) {
    const attribute = vocabulary.find(name);
    if (attribute === undefined || carrierOf(attribute.type) !== "STRING") return undefined;
    clauses.push({ slot: attribute.slot, holds: compileText(one) });
  }
  return clauses;
}

function compileText(match: StringMatch): Clause["holds"] {
  if (match.by === "regex") {
    const regex = compileRegex(match.pattern);
    return regex instanceof Fault ? () => false : (value) => regex.matcher(value).matches();
  }
  const { by, text } = match;
  return by === "exact" ? (value) => value === text : (value) => value.startsWith(text);
}

function collect(
  rules: readonly ChargingRule[],
  bag: AttributeBag,
  charged: QuotaCharge[] | undefined,
): QuotaCharge[] | undefined {
  let charges = charged;
  for (const { matches, quotas } of rules) {
    if (!holdsAny(matches, bag)) continue;
    charges ??= [];
    for (const charge of quotas) add(charges, charge);
  }
  return charges;
}

function holdsAny(matches: ChargingRule["matches"], bag: AttributeBag): boolean {
  if (matches.length === 0) return true;
  for (const clauses of matches) if (holdsAll(clauses, bag)) return true;
  return false;
}

function holdsAll(clauses: readonly Clause[], bag: AttributeBag): boolean {
  for (const { slot, holds } of clauses) {
    const value = bag.read(slot);
    if (typeof value !== "string" || !holds(value)) return false;
  }
  return true;
}

function add(charges: QuotaCharge[], { quota, charge }: QuotaCharge): void {
  for (let i = 0; i < charges.length; i++) {
    const known = charges[i]!;
    if (known.quota.toLowerCase() !== quota.toLowerCase()) continue;
    charges[i] = { quota: known.quota, charge: known.charge + charge };
    return;
  }
  charges.push({ quota, charge });
}
