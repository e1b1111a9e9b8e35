/**
 * rules/attributes.yaml inside the executable, parsed when it was built: the vocabulary that every
 * mesh begins with. A test holds that it is what its reader makes of it.
 */
import documents from "../../../rules/attributes.yaml";
import type { ValueType } from "../../attribute/value.ts";
import type { AttributeManifest } from "../../model/attribute-manifest.ts";
import type { Declared } from "../../model/policy-set.ts";

interface Written {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly attributes: Readonly<
      Record<string, { readonly valueType: ValueType; readonly description: string }>
    >;
  };
}

const origin = { file: "rules/attributes.yaml", line: 0, column: 0 };

export const standardManifests: readonly Declared<AttributeManifest>[] = (
  documents as readonly Written[]
).map(({ metadata: { name, namespace }, spec }) => ({
  name,
  namespace,
  origin,
  spec: {
    revision: "",
    attributes: Object.entries(spec.attributes).map(([attribute, { valueType, description }]) => ({
      name: attribute,
      type: valueType,
      description,
      at: origin,
    })),
  },
}));
