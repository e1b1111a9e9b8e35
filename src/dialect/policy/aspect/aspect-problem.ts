/** What only shows when rules of Istio 0.1 and what they refer to are looked at together. */
import type { Position, Problem } from "../../../core/problem.ts";
import { didYouMean } from "../../../core/suggestion.ts";
import type { Aspect, DescribedValue } from "../../../model/aspect-config.ts";
import type { Config } from "../../../model/config.ts";
import type { Descriptor, GlobalConfig } from "../../../model/global-config.ts";
import type { Declared } from "../../../model/policy-set.ts";
import { adapterFor, placedAspects } from "./aspect-policy.ts";
import { adapterOf, implNames } from "./impl.ts";

export function aspectProblems(configs: readonly Config[]): readonly Problem[] {
  const near = suggestions();
  const globals = configs
    .filter((config) => config.kind === "GlobalConfig")
    .map(({ meta, origin, spec }) => ({ ...meta, origin, spec }));
  const services = configs.filter((config) => config.kind === "ServiceConfig");
  const impls = globals.flatMap(({ spec }) =>
    spec.adapters.flatMap(({ impl, at }) =>
      adapterOf(impl) !== undefined || impl === ""
        ? []
        : error(at, `no adapter ${impl} is known`, near(impl, implNames)),
    ),
  );
  const rules = services.flatMap(({ spec }) =>
    placedAspects(spec).flatMap(({ aspect }) => [
      ...adapterProblems(aspect, globals, near),
      ...descriptorProblems(aspect, globals, near),
    ]),
  );
  return [...impls, ...rules];
}

type Globals = readonly Declared<GlobalConfig>[];
type Near = (word: string, known: readonly string[]) => string | undefined;

/** Each costs a comparison with every name. */
const suggestionsMax = 20;

function suggestions(): Near {
  let left = suggestionsMax;
  return (word, known) => (left-- > 0 ? didYouMean(word, known) : undefined);
}

function adapterProblems(aspect: Aspect, globals: Globals, near: Near): readonly Problem[] {
  if (adapterFor(globals, aspect) !== undefined) return [];
  const { adapter, kind, at } = aspect;
  const names = globals.flatMap(({ spec }) => spec.adapters.map(({ name }) => name));
  const hint = names.includes(adapter) ? undefined : near(adapter, names);
  return error(at, `no adapter ${adapter} for ${kind} is declared`, hint);
}

/** The values of an aspect, and the kind of their descriptors. */
function valuesOf(aspect: Aspect): readonly [keyof Described, readonly DescribedValue[]] {
  if (aspect.kind === "quotas") return ["quotas", aspect.quotas];
  if (aspect.kind === "metrics") return ["metrics", aspect.metrics];
  const isLog = aspect.kind === "access-logs" || aspect.kind === "application-logs";
  return ["logs", isLog ? aspect.logs : []];
}

type Described = Pick<GlobalConfig, "metrics" | "logs" | "quotas">;

function descriptorProblems(aspect: Aspect, globals: Globals, near: Near): readonly Problem[] {
  const [kind, values] = valuesOf(aspect);
  const descriptors: readonly Descriptor[] = globals.flatMap(({ spec }) => spec[kind]);
  return values.flatMap(({ descriptor, labels, at }) => {
    const found = descriptors.find(({ name }) => name === descriptor);
    if (found === undefined) {
      const names = descriptors.map(({ name }) => name);
      return error(at, `no descriptor ${descriptor} is declared`, near(descriptor, names));
    }
    const [given, wanted] = [Object.keys(labels), Object.keys(found.labels)];
    const missing = wanted.filter((label) => !given.includes(label));
    const strange = given.filter((label) => !wanted.includes(label));
    return [
      ...missing.flatMap((label) => error(at, `must have the label ${label} of ${descriptor}`)),
      ...strange.flatMap((label) =>
        error(at, `${descriptor} has no label ${label}`, near(label, missing)),
      ),
    ];
  });
}

function error(position: Position, message: string, suggestion?: string): readonly Problem[] {
  return [
    {
      severity: "error",
      position,
      path: "spec",
      message,
      ...(suggestion !== undefined && { suggestion }),
    },
  ];
}
