/**
 * Text that an operator wrote ─▶ configs and problems. Every dialect, many documents, all problems
 * at once, each with its position; a document with an error yields no config and hurts no other.
 */
import { type Document, isMap, isSeq, parseAllDocuments, YAMLMap } from "yaml";
import type { Position, Problem } from "../core/problem.ts";
import type { Config } from "../model/config.ts";
import type { MeshSettings } from "../model/mesh-settings.ts";
import { checkObjectName } from "../model/validate-name.ts";
import { type Envelope, readEnvelope } from "./envelope.ts";
import { LineIndex } from "./schema/line-index.ts";
import { camelCase, entriesOf } from "./schema/message.ts";
import { Place, type Reading, report, type Source, type YamlNode } from "./schema/place.ts";

export interface ReadOptions {
  /** For positions only; the text is given. */
  readonly file: string;
  /** Of documents that name none. */
  readonly namespace: string;
  /** Appended to short names as ".svc.<domain>"; "cluster.local" if absent, nothing if empty. */
  readonly domain?: string;
  /** What a MeshConfig may leave out; if absent, anything. */
  readonly meshDefaults?: Partial<MeshSettings>;
}

export interface ReadResult {
  readonly configs: readonly Config[];
  readonly problems: readonly Problem[];
}

/** Characters of one file, and documents in it. */
const limits = { text: 16 * 1024 * 1024, documents: 100_000 };

export function readDocuments(text: string, options: ReadOptions): ReadResult {
  const lines = new LineIndex(text.length > limits.text ? "" : text);
  const source: Source = { file: options.file, lines, problems: [], reported: new Set() };
  const configs: Config[] = [];
  if (text.length > limits.text) {
    complain(source, `is larger than ${limits.text / 1024 / 1024} MiB`);
    return { configs, problems: source.problems };
  }
  const { namespace } = options;
  const complaint = namespace === "" ? undefined : checkObjectName(namespace, false);
  if (complaint !== undefined) complain(source, `the namespace "${namespace}" ${complaint}`);
  const documents = parse(text, source);
  if (documents.length > limits.documents)
    complain(source, `has more than ${limits.documents} documents`);
  const names = new Map<string, number>();
  for (const document of documents.slice(0, limits.documents))
    for (const { place, written } of objectsIn(document, text, source)) {
      const config = readObject(place, written, { options, names });
      if (config !== undefined) configs.push(config);
    }
  return { configs, problems: source.problems.toSorted(byPosition) };
}

function byPosition(a: Problem, b: Problem): number {
  return a.position.line - b.position.line || a.position.column - b.position.column;
}

function complain(source: Source, message: string): void {
  report(source, 0, { severity: "error", path: "", message });
}

const tooDeep = "cannot be read: it nests too deeply";

/** The parser recurses: a text that nests deeper than the stack is refused, not fatal. */
function parse(text: string, source: Source): readonly Document.Parsed[] {
  try {
    const parsed = parseAllDocuments(text, {
      prettyErrors: false,
      // Theirs is quadratic; whoever reads a map finds them.
      uniqueKeys: false,
      logLevel: "silent",
    });
    return Array.isArray(parsed) ? parsed : [];
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    complain(source, tooDeep);
    return [];
  }
}

interface Written {
  readonly place: Place;
  /** The object alone, as its author wrote it. */
  readonly written: string;
}

/** A document is one object, or a `kind: List` of them; one that is empty is none. */
function objectsIn(document: Document.Parsed, text: string, source: Source): readonly Written[] {
  const reading: Reading = { source, document, aliases: 0, errors: 0 };
  for (const { message, pos } of document.errors) {
    reading.errors++;
    report(source, pos[0], { severity: "error", path: "", message: sentence(message) });
  }
  const place = new Place(reading, "", document.contents, document.range[0]);
  if (reading.errors > 0 || place.empty) return [];
  const items = listItems(place.node);
  if (items === undefined) return [{ place, written: textOf(document, text) }];
  return items.map((node, i) => ({
    place: new Place({ ...reading }, `items[${i}]`, node, document.range[0]),
    written: nodeText(node, text, source),
  }));
}

function listItems(node: YamlNode): readonly YamlNode[] | undefined {
  if (isSeq(node)) return node.items as readonly YamlNode[];
  if (!isMap(node)) return undefined;
  const kind: unknown = node.get("kind");
  const items: unknown = node.get("items");
  const isList = typeof kind === "string" && kind.endsWith("List") && isSeq(items);
  return isList ? (items.items as readonly YamlNode[]) : undefined;
}

function textOf(document: Document.Parsed, text: string): string {
  const [start, , end] = document.range;
  return `${text
    .slice(start, end)
    .replace(/^(%.*\n)*---[^\n]*\n/, "")
    .replace(/\n(---|\.\.\.)\s*$/, "\n")
    .trim()}\n`;
}

/** An item of a list as a document of its own, without the list's indentation. */
function nodeText(node: YamlNode, whole: string, source: Source): string {
  if (!node?.range) return "";
  const [start, , end] = node.range;
  const text = whole.slice(start, end);
  if (!(node instanceof YAMLMap) || node.flow === true) return `${text.trim()}\n`;
  const margin = new RegExp(`^ {0,${source.lines.at(start).column - 1}}`);
  const lines = text.trimEnd().split("\n");
  return `${lines.map((line, i) => (i === 0 ? line : line.replace(margin, ""))).join("\n")}\n`;
}

function sentence(message: string): string {
  if (message.includes("call stack")) return tooDeep;
  const [first = ""] = message.slice(0, 200).split("\n");
  return first.charAt(0).toLowerCase() + first.slice(1);
}

interface Scope {
  readonly options: ReadOptions;
  /** How often a name was made up. */
  readonly names: Map<string, number>;
}

function readObject(place: Place, written: string, { options, names }: Scope): Config | undefined {
  const envelope = readEnvelope(place, {
    namespace: options.namespace,
    nameFor: (kind, host) => madeUpName(names, kind, host),
  });
  if (envelope === undefined) return undefined;
  if (envelope.spec.empty && envelope.readable.specMayBeEmpty !== true) {
    envelope.spec.error("must not be empty");
    return undefined;
  }
  const spec = envelope.readable.read(envelope.spec, {
    era: envelope.era,
    name: envelope.meta.name,
    namespace: envelope.meta.namespace,
    domain: options.domain ?? "cluster.local",
    labels: envelope.meta.labels,
    annotations: envelope.meta.annotations,
    apiVersion: envelope.apiVersion,
    ...(options.meshDefaults !== undefined && { meshDefaults: options.meshDefaults }),
  });
  if (spec === undefined || place.reading.errors > 0) return undefined;
  return toConfig(envelope, spec, place, envelope.bare ? named(envelope, written) : written);
}

/** A spec that stood alone, in the envelope that keeps the name that was made up for it. */
function named({ readable, meta }: Envelope, text: string): string {
  const lines = text.trimEnd().split("\n");
  const spec = lines.map((line) => (line === "" ? "" : `  ${line}`)).join("\n");
  return `type: ${readable.type}\nname: ${meta.name}\nspec:\n${spec}\n`;
}

function toConfig(
  { readable, apiVersion, meta, spec: written }: Envelope,
  spec: NonNullable<ReturnType<typeof readable.read>>,
  place: Place,
  text: string,
): Config {
  // The inventory pairs each kind with the reader of its spec.
  return {
    kind: readable.kind,
    apiVersion,
    meta,
    origin: place.position,
    fields: positionsOf(written),
    spec,
    text,
  } as Config;
}

function positionsOf(spec: Place): Readonly<Record<string, Position>> {
  return Object.fromEntries(
    (spec.empty ? [] : (entriesOf(spec) ?? [])).map(({ key, keyNode, node }) => [
      camelCase(key),
      spec.field(key, node, keyNode).position,
    ]),
  );
}

/** "reviews", and "reviews-2" for the next of that kind in the same file. */
function madeUpName(names: Map<string, number>, kind: string, host: string): string {
  const first =
    host
      .split(".")[0]
      ?.toLowerCase()
      .replace(/[^a-z0-9-]/g, "") ?? "";
  const name = first.replace(/^-+|-+$/g, "").slice(0, 50) || "rule";
  const key = `${kind}/${name}`;
  const count = (names.get(key) ?? 0) + 1;
  names.set(key, count);
  return count === 1 ? name : `${name}-${count}`;
}
