/** `kind: attributemanifest`: which facts there are. Spec table: mixer 3.1. */
import { valueTypes } from "../../attribute/value.ts";
import type { AttributeManifest } from "../../model/attribute-manifest.ts";
import { ignored, mapOf, message, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { oneOf, text } from "../schema/scalar.ts";

const attribute = message({
  description: text,
  valueType: oneOf("VALUE_TYPE_UNSPECIFIED", ...valueTypes),
});

export const attributeMap = mapOf(attribute);

const fields = message({
  revision: text,
  name: ignored("has no effect: the object's own name counts"),
  attributes: attributeMap,
});

/** What a name in an expression is made of: words with dots between them. */
const attributeName = /^[\p{L}_][\p{L}\p{Nd}_]*(\.[\p{L}_][\p{L}\p{Nd}_]*)*$/u;

/** Undefined after the problems have been reported. */
export function readAttributeManifest(place: Place): AttributeManifest | undefined {
  const written = fields(place);
  if (written === undefined) return undefined;
  return { revision: written.revision ?? "", attributes: attributesIn(written.attributes) };
}

/** Those that are well declared; the others are reported. */
export function attributesIn(
  entries: ValueOf<typeof attributeMap> = [],
): AttributeManifest["attributes"] {
  return entries.flatMap(({ key: name, value, at }) => {
    const { valueType: type, description = "" } = value;
    if (!attributeName.test(name)) at.error(`no expression can name ${JSON.stringify(name)}`);
    if (!value.has("valueType") || type === "VALUE_TYPE_UNSPECIFIED")
      value.at("valueType").error("must be given");
    else if (type !== undefined) return [{ name, type, description, at: at.position }];
    return [];
  });
}
