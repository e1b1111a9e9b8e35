/** Manifests ─▶ one vocabulary. Those of the root namespace have the first word. */
import type { ValueType } from "../attribute/value.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import type { AttributeManifest } from "../model/attribute-manifest.ts";
import type { Declared } from "../model/policy-set.ts";
import { withoutDuplicates } from "./resolve-name.ts";
import { byText, entryPath, type ProblemList, subjectOf } from "./resolve-problem.ts";

export function resolveVocabulary(
  manifests: readonly Declared<AttributeManifest>[],
  rootNamespace: string,
  problems: ProblemList,
): Vocabulary {
  const first = new Map<string, { readonly type: ValueType; readonly manifest: string }>();
  const unique = withoutDuplicates(
    manifests,
    (one) => subjectOf(one, "attributemanifest"),
    problems,
  ).toSorted(
    ([a], [b]) =>
      Number(b.namespace === rootNamespace) - Number(a.namespace === rootNamespace) ||
      byText(a.namespace, b.namespace) ||
      byText(a.name, b.name),
  );
  for (const [{ spec }, subject] of unique)
    for (const { name, type, at } of spec.attributes) {
      const known = first.get(name);
      if (known === undefined) first.set(name, { type, manifest: subject.name });
      else if (known.type !== type)
        problems.error(subject, entryPath("spec.attributes", name), {
          at,
          message: `${name} is of type ${type} here and ${known.type} in ${known.manifest}`,
        });
    }
  return new Vocabulary([...first].map(([name, { type }]) => [name, type] as const));
}
