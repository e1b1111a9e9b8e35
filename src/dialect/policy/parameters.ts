/**
 * Parameters of an adapter, which only it can read: kept as JSON text, with the places of their
 * parts, so that what it finds wrong has its line and column. Names stay as they are written.
 */
import { isMap, isScalar, isSeq } from "yaml";
import type { Position } from "../../core/problem.ts";
import type { Parameters } from "../../model/handler.ts";
import { entriesOf } from "../schema/message.ts";
import type { Place, YamlNode } from "../schema/place.ts";

const depthMax = 32;
/** Parts whose places are kept; of those after them, the place of what they are in counts. */
const positionsMax = 1_000;

/** An absent or empty block is one without fields. Undefined after a problem was reported. */
export function readParameters(place: Place): Parameters | undefined {
  const positions = new Map<string, Position>([["", place.position]]);
  if (place.empty) return { json: "{}", positions: toRecord(positions) };
  if (!isMap(place.node)) {
    place.error("must be a map of fields", isSeq(place.node) ? "remove the dash" : undefined);
    return undefined;
  }
  const value = jsonOf(place, { path: "", depth: 0, positions });
  return { json: JSON.stringify(value), positions: toRecord(positions) };
}

/** Without a prototype to fall into. */
function toRecord(positions: ReadonlyMap<string, Position>): Parameters["positions"] {
  return Object.fromEntries(positions);
}

/** "quotas[0].maxAmount"; a key that is no name is quoted: `dimensions["a.b"]`. */
export function joinPath(path: string, key: string): string {
  if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

interface Walk {
  readonly path: string;
  readonly depth: number;
  readonly positions: Map<string, Position>;
}

function jsonOf(place: Place, { path, depth, positions }: Walk): unknown {
  if (positions.size < positionsMax) positions.set(path, place.position);
  const { node } = place;
  if (depth >= depthMax) place.error(`nests deeper than ${depthMax} levels`);
  else if (isMap(node)) {
    const entries = (entriesOf(place) ?? []).flatMap(({ key, keyNode, node: value }) => {
      const at = place.field(key, value, keyNode);
      // As in proto-JSON, null is absent.
      if (at.empty) return [];
      return [[key, jsonOf(at, { path: joinPath(path, key), depth: depth + 1, positions })]];
    });
    return Object.fromEntries(entries);
  } else if (isSeq(node))
    return node.items.map((item, i) =>
      jsonOf(place.item(i, item as YamlNode), {
        path: `${path}[${i}]`,
        depth: depth + 1,
        positions,
      }),
    );
  else return scalarOf(place);
  return null;
}

function scalarOf(place: Place): unknown {
  const value: unknown = isScalar(place.node) ? place.node.value : null;
  const isPlain = typeof value === "string" || typeof value === "boolean" || value === null;
  if (isPlain || (typeof value === "number" && Number.isFinite(value))) return value;
  place.error("must be a text, a number, true or false");
  return null;
}
