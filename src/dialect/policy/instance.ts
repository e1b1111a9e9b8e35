/**
 * Instances: `kind: instance` with a `compiledTemplate`, and the older kinds that are called after
 * their template and are its fields. Which fields a template has is judged where the expressions
 * are; here they are texts with places. Spec tables: mixer 3.1, 4.
 */
import { isMap } from "yaml";
import type { Position } from "../../core/problem.ts";
import type { ExpressionText, Instance, InstanceFields } from "../../model/instance.ts";
import { camelCase, entriesOf, mapOf, message, type Reader, toRecord } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { text } from "../schema/scalar.ts";
import { expression } from "./expression-text.ts";
import { chosenName } from "./handler.ts";
import { joinPath } from "./parameters.ts";

const depthMax = 4;
const bindings = mapOf(expression);
const anything: Reader<Place> = (place) => place;

const fields = message({
  compiledTemplate: text,
  template: text,
  params: anything,
  attributeBindings: bindings,
});

/** Undefined after the problems have been reported. */
export function readInstance(place: Place): Instance | undefined {
  const written = fields(place);
  if (written === undefined) return undefined;
  const named = chosenName(written, ["compiledTemplate", "template"]);
  const read = readFields(written.params);
  if (named === undefined) return undefined;
  return {
    writtenKind: "instance",
    template: named.name,
    templateAt: named.at.position,
    fields: read.fields,
    positions: read.positions,
    attributeBindings: toRecord(written.attributeBindings),
  };
}

/** `kind: listentry`: the spec is the fields; a generator's bindings stand beside them. */
export function typedInstanceReader(writtenKind: string) {
  return (place: Place): Instance => {
    const { fields: all, positions, bindings: attributeBindings } = readFields(place, true);
    return {
      writtenKind,
      template: writtenKind,
      templateAt: place.position,
      fields: all,
      positions,
      attributeBindings,
    };
  };
}

interface Read {
  readonly fields: InstanceFields;
  readonly positions: Readonly<Record<string, Position>>;
  readonly bindings: Readonly<Record<string, ExpressionText>>;
}

const bindingsField = "attributeBindings";

/** Names of fields in camelCase; those within maps are the author's own, and stay. */
function readFields(place: Place | undefined, withBindings = false): Read {
  const found = new Map<string, ExpressionText | InstanceFields>();
  const positions = new Map<string, Position>();
  let bound: Read["bindings"] = {};
  const entries = place === undefined || place.empty ? [] : (entriesOf(place) ?? []);
  for (const { key, keyNode, node } of entries) {
    const name = camelCase(key);
    const at = place!.field(key, node, keyNode);
    const written = at.keyed(keyNode);
    if (found.has(name)) written.error(`is given twice: it is another spelling of ${name}`);
    else if (withBindings && name === bindingsField) bound = toRecord(bindings(at));
    else if (!at.empty) {
      positions.set(name, written.position);
      const value = fieldValue(at, name, { depth: 1, positions });
      if (value !== undefined) found.set(name, value);
    }
  }
  return {
    fields: Object.fromEntries(found),
    positions: Object.fromEntries(positions),
    bindings: bound,
  };
}

interface Walk {
  readonly depth: number;
  readonly positions: Map<string, Position>;
}

function fieldValue(
  place: Place,
  path: string,
  { depth, positions }: Walk,
): ExpressionText | InstanceFields | undefined {
  if (!isMap(place.node)) return expression(place);
  if (depth >= depthMax) {
    place.error(`nests deeper than ${depthMax} levels`);
    return undefined;
  }
  const entries = (entriesOf(place) ?? []).flatMap(({ key, keyNode, node }) => {
    const at = place.entry(key, node, keyNode);
    if (at.empty) return [];
    const inner = joinPath(path, key);
    positions.set(inner, at.keyed(keyNode).position);
    const value = fieldValue(at, inner, { depth: depth + 1, positions });
    return value === undefined ? [] : [[key, value] as const];
  });
  return Object.fromEntries(entries);
}
