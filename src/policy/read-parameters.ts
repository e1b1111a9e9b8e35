/**
 * Parameters of a handler as text, YAML or JSON, ─▶ what an adapter makes of them. For parameters
 * that come without their document; those in one are read where they stand, by `configure`.
 */
import { type Document, isMap, parseDocument } from "yaml";
import type { Problem } from "../core/problem.ts";
import { LineIndex } from "../dialect/schema/line-index.ts";
import { Place, type Reading, report, type Source } from "../dialect/schema/place.ts";
import type { HandlerConnection } from "../model/handler.ts";
import type { Adapter, BoundInstance, Configured } from "./adapter.ts";

interface Options {
  /** For positions only. */
  readonly file?: string;
  readonly bound?: readonly BoundInstance[];
  readonly connection?: HandlerConnection | undefined;
}

export interface ReadParameters {
  readonly configured: Configured | undefined;
  readonly problems: readonly Problem[];
}

const textMax = 1024 * 1024;

export function readParameters(
  adapter: Adapter,
  text: string,
  options: Options = {},
): ReadParameters {
  const place = placeOf(text, options.file ?? "parameters");
  const { problems } = place.reading.source;
  if (problems.length > 0) return { configured: undefined, problems };
  const configured = adapter.configure(place, options.bound ?? [], options.connection);
  return { configured, problems };
}

/** A text as a place to read from; what the parser has against it is among its problems. */
export function placeOf(text: string, file: string): Place {
  const lines = new LineIndex(text);
  const source: Source = { file, lines, problems: [], reported: new Set() };
  const parsed = text.length > textMax || text.trim() === "" ? parse("{}") : parse(text);
  const document = parsed ?? parse("{}")!;
  const reading: Reading = { source, document, aliases: 0, errors: 0 };
  const complain = (offset: number, message: string): void => {
    reading.errors++;
    report(source, offset, { severity: "error", path: "", message });
  };
  if (text.length > textMax) complain(0, `is larger than ${textMax} characters`);
  if (parsed === undefined) complain(0, "cannot be read: it nests too deeply");
  for (const { message, pos } of document.errors) complain(pos[0], message.slice(0, 200));
  return new Place(reading, "", document.contents, 0);
}

/** Undefined: the parser recurses, and this nests deeper than its stack. */
function parse(text: string): Document.Parsed | undefined {
  try {
    return parseDocument(text, { prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    return undefined;
  }
}

/** An absent or empty block of parameters is one without fields. */
export function orEmpty(place: Place): Place {
  if (!place.empty) return place;
  const { contents } = parseDocument("{}");
  return isMap(contents) ? new Place(place.reading, place.path, contents, 0) : place;
}
