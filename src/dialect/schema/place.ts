/**
 * A place in a document: a YAML node, the path that leads to it, and where problems with it go.
 * Whatever reads a document passes places along, so that every problem knows its line.
 */
import { type Document, isAlias, isScalar, type ParsedNode, parseDocument } from "yaml";
import type { Position, Problem, Severity } from "../../core/problem.ts";
import type { LineIndex } from "./line-index.ts";

export type YamlNode = ParsedNode | null | undefined;

/** One file being read. */
export interface Source {
  readonly file: string;
  readonly lines: LineIndex;
  readonly problems: Problem[];
  /** What has been reported: a place that is read twice is judged once. */
  readonly reported: Set<string>;
}

const aliasesMax = 100;
const problemsMax = 1_000;
const excerptMax = 200;

/** One document of a file, while it is read. */
export interface Reading {
  readonly source: Source;
  readonly document: Document.Parsed;
  aliases: number;
  errors: number;
}

export class Place {
  readonly reading: Reading;
  readonly path: string;
  readonly node: YamlNode;
  readonly #offset: number;

  constructor(reading: Reading, path: string, node: YamlNode, offset: number) {
    this.reading = reading;
    this.path = path;
    this.node = this.#resolve(node);
    this.#offset = node?.range?.[0] ?? offset;
  }

  /** A field's value. `key` is where an empty value is reported. */
  field(name: string, node: YamlNode, key: YamlNode): Place {
    const path = this.path === "" ? name : `${this.path}.${name}`;
    return new Place(this.reading, path, node, key?.range?.[0] ?? this.#offset);
  }

  /** An entry of a map whose keys the author chose. */
  entry(key: string, node: YamlNode, keyNode: YamlNode): Place {
    const plain = /^[A-Za-z_][\w-]*$/.test(key);
    const path = plain ? `${this.path}.${key}` : `${this.path}[${JSON.stringify(key)}]`;
    return new Place(this.reading, path, node, keyNode?.range?.[0] ?? this.#offset);
  }

  item(index: number, node: YamlNode): Place {
    return new Place(this.reading, `${this.path}[${index}]`, node, this.#offset);
  }

  /** The same path, pointing at the key that was written. */
  keyed(key: YamlNode): Place {
    return new Place(this.reading, this.path, null, key?.range?.[0] ?? this.#offset);
  }

  get empty(): boolean {
    const node = this.node;
    return node === null || node === undefined || (isScalar(node) && node.value === null);
  }

  /** This; where nothing is written, a map without fields. */
  orMap(): Place {
    if (!this.empty) return this;
    const { contents } = parseDocument("{}");
    // Without a range it stands where this stands.
    if (contents !== null) contents.range = null as never;
    return new Place(this.reading, this.path, contents, this.#offset);
  }

  get position(): Position {
    return positionAt(this.reading.source, this.#offset);
  }

  error(message: string, suggestion?: string): void {
    this.reading.errors++;
    this.#report("error", message, suggestion);
  }

  warn(message: string, suggestion?: string): void {
    this.#report("warning", message, suggestion);
  }

  /** Reports a complaint of a check, if there is one. */
  check(complaint: string | undefined): boolean {
    if (complaint !== undefined) this.error(complaint);
    return complaint === undefined;
  }

  #report(severity: Severity, message: string, suggestion: string | undefined): void {
    const { source } = this.reading;
    report(source, this.#offset, {
      severity,
      path: this.path,
      message,
      ...(suggestion && { suggestion }),
    });
  }

  /** A document may refer back a bounded number of times. */
  #resolve(node: YamlNode): YamlNode {
    if (!isAlias(node)) return node;
    if (++this.reading.aliases > aliasesMax) {
      if (this.reading.aliases === aliasesMax + 1)
        report(this.reading.source, node.range[0], {
          severity: "error",
          path: this.path,
          message: `more than ${aliasesMax} aliases in one document`,
        });
      this.reading.errors++;
      return null;
    }
    // Parsed documents hold parsed nodes only; the library's type for a resolved alias is wider.
    const target = node.resolve(this.reading.document) as YamlNode;
    if (target === undefined) {
      this.reading.errors++;
      report(this.reading.source, node.range[0], {
        severity: "error",
        path: this.path,
        message: `nothing before it is called &${node.source.slice(0, excerptMax)}`,
      });
    }
    return target;
  }
}

export function report(
  source: Source,
  offset: number,
  problem: Omit<Problem, "position" | "excerpt">,
): void {
  const key = `${offset} ${problem.path} ${problem.message}`;
  if (source.problems.length >= problemsMax || source.reported.has(key)) return;
  source.reported.add(key);
  const position = positionAt(source, offset);
  const excerpt = source.lines.line(position.line, excerptMax);
  source.problems.push({ ...problem, position, excerpt });
}

export function positionAt(source: Source, offset: number): Position {
  return { file: source.file, ...source.lines.at(offset) };
}
