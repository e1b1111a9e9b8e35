/**
 * Rules and registry in files, read again when they change. One bad document hurts no other: while
 * a file has errors, objects that it used to hold and that cannot be read now stay as they were.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import type { Problem } from "../../core/problem.ts";
import { isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { watchFiles } from "../../io/file-watch.ts";
import { type Config, configKey } from "../../model/config.ts";
import { compare } from "../order.ts";
import { translationProblem } from "../translate/translatable.ts";
import type { ReadOnlyStore, StoredConfig, StoreKey } from "./store.ts";

export interface DirectoryOptions {
  /** Files and directories; of directories, every .yaml, .yml and .json below. */
  readonly paths: readonly string[];
  /** Of documents that name none. */
  readonly namespace: string;
  readonly domain: string;
}

interface FileForm {
  /** Absent: it could not be read. */
  readonly text?: string;
  readonly objects: ReadonlyMap<StoreKey, StoredConfig>;
  readonly problems: readonly Problem[];
}

const EXTENSIONS: ReadonlySet<string> = new Set([".yaml", ".yml", ".json"]);
const FILE_BYTES_MAX = 16 << 20;

export class DirectoryStore implements ReadOnlyStore {
  readonly #options: DirectoryOptions;
  readonly #watch: { close(): void };
  #files: ReadonlyMap<string, FileForm> = new Map();
  #objects: readonly StoredConfig[] = [];
  #problems: readonly Problem[] = [];
  #onChange: () => void = () => {};

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#read();
    this.#watch = watchFiles({
      paths: options.paths,
      accepts: isRuleFile,
      onChange: () => {
        this.#read();
        this.#onChange();
      },
    });
  }

  list(): readonly StoredConfig[] {
    return this.#objects;
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  close(): void {
    this.#watch.close();
  }

  #read(): void {
    const problems: Problem[] = [];
    const files = new Map<string, FileForm>();
    for (const path of this.#paths(problems)) {
      const former = this.#files.get(path);
      const form = this.#readFile(path, former);
      files.set(path, form);
      problems.push(...form.problems);
    }
    this.#files = files;
    const objects = new Map<StoreKey, StoredConfig>();
    for (const { objects: some } of files.values())
      for (const [key, stored] of some) {
        const first = objects.get(key);
        if (first === undefined) objects.set(key, stored);
        else problems.push(duplicate(key, stored.config, first.config));
      }
    this.#objects = [...objects.values()];
    this.#problems = problems;
  }

  /** Every file, in one order; of a path that cannot be read now, those that it had. */
  #paths(problems: Problem[]): readonly string[] {
    const found = new Set<string>();
    for (const path of this.#options.paths)
      try {
        for (const file of ruleFilesIn(path)) found.add(file);
      } catch (cause) {
        problems.push(unreadable(path, cause));
        for (const file of this.#files.keys())
          if (file === path || file.startsWith(join(path, "/"))) found.add(file);
      }
    return [...found].sort(compare);
  }

  #readFile(path: string, former: FileForm | undefined): FileForm {
    let text: string;
    let changedMs: number;
    try {
      const { size, mtimeMs } = statSync(path);
      if (size > FILE_BYTES_MAX) throw new Error(`larger than ${FILE_BYTES_MAX >> 20} MB`);
      changedMs = Math.round(mtimeMs);
      text = readFileSync(path, "utf8");
    } catch (cause) {
      const objects = former?.objects ?? new Map<StoreKey, StoredConfig>();
      return { objects, problems: [unreadable(path, cause)] };
    }
    if (former?.text === text) return former;
    const { namespace, domain } = this.#options;
    const document = readDocuments(text, { file: path, namespace, domain });
    const refused = new Map(document.configs.map((config) => [config, translationProblem(config)]));
    const problems = [...document.problems, ...refused.values()].filter((one) => one !== undefined);
    const configs = document.configs.filter((config) => refused.get(config) === undefined);
    const read = configs.map((config) => [configKey(config), storedOf(config, changedMs)] as const);
    const kept = problems.some(isError) ? [...(former?.objects ?? [])] : [];
    return { text, objects: new Map([...kept, ...read]), problems };
  }
}

function ruleFilesIn(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter(isRuleFile)
    .map((name) => join(path, name))
    .filter(isFileOrBroken);
}

/** A pipe or a socket is no rule file; what leads nowhere is told when it is read. */
function isFileOrBroken(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return true;
  }
}

function isRuleFile(name: string): boolean {
  return EXTENSIONS.has(extname(name)) && !/(^|\/)\./.test(name);
}

function storedOf(config: Config, changedMs: number): StoredConfig {
  return { config, revision: 0, createdMs: changedMs, updatedMs: changedMs, author: "file" };
}

function duplicate(key: StoreKey, config: Config, first: Config): Problem {
  const { file, line } = first.origin;
  return {
    severity: "error",
    position: config.origin,
    path: "metadata.name",
    message: `${key} is also in ${file}:${line}, which is used`,
  };
}

function unreadable(path: string, cause: unknown): Problem {
  const message = cause instanceof Error ? cause.message : String(cause);
  return { severity: "error", position: { file: path, line: 0, column: 0 }, path: "", message };
}
