/**
 * The shape of this source tree, checked like any other behaviour.
 *
 * Read the tables first: they are the architecture. `layers` says who may import whom, `limits` how
 * large things may get. A breach that we decided to live with is in `excused`, with its reason.
 */
import { expect, test } from "bun:test";
import { dirname, join, normalize } from "node:path";
import ts from "typescript-api";

/** From the bottom up. A folder may import itself and lower lines, and nothing on its own line. */
const layers: readonly (readonly string[])[] = [
  ["core"],
  ["http"],
  ["http1", "http2", "io", "telemetry"],
  ["api"],
  ["attribute"],
  ["expression"],
  ["model"],
  ["dialect"],
  ["policy"],
  ["adapter"],
  ["proxy", "mixer", "manager", "ctl"],
  ["."],
];
const testOnly: readonly string[] = ["testing", "spec", "bench"];
/** What build.ts names. */
const entries: readonly string[] = ["main.ts", "proxy/worker/worker-entry.ts"];
/** Made from proto/ by `bun run generate`; a test of its own compares it. */
const generated = /^api\/gen\//;

const limits = { columns: 100, fileLines: 500, functionLines: 70, parameters: 4, exports: 12 };

/** What exceeds a limit, why, and how far: an entry may shrink and disappear, never grow. */
const excused: ReadonlyMap<string, { readonly max: number; readonly why: string }> = new Map([]);

const vagueNames = /^(utils?|helpers?|common|misc|shared|stuff|types|constants|index)\.tsx?$/;
const banned: readonly (readonly [pattern: RegExp, instead: string, allowedIn: RegExp])[] = [
  [/^export default/m, "a named export", /^$/],
  [
    /^let /m,
    "state in a class or a closure: module-level state is shared by every test and every mode",
    /\.test\.ts$/,
  ],
  [/^\s*(export )?(const )?enum /m, "an `as const` object or a union of literals", /^$/],
  [/\bas any\b|: any\b|<any>/, "unknown, or a type", /^$/],
  [/@ts-ignore/, "@ts-expect-error with a reason", /^$/],
  [
    /^(\S.* )?await /m,
    "a function: while a module waits at its top, Bun reports a failed assertion and goes on",
    /^(testing|spec|bench)\/|\.(test|bench|fuzz|fixture)\.ts$/,
  ],
  [/\bFIXME\b|\.only\(/, "finishing it before it lands", /^$/],
  [
    /\bDate\.now\(|\bsetTimeout\(|\bsetInterval\(|\bMath\.random\(/,
    "the Clock or the random source passed in",
    /^(core\/(clock|random|log)\.|io\/|testing\/|spec\/|bench\/)|\.(test|bench|fuzz)\.ts$|\/page\//,
  ],
];

interface Module {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
  readonly imports: readonly string[];
}

const root = import.meta.dir;
const modules = new Map<string, Module>(readModules().map((module) => [module.path, module]));
const isTest = (path: string): boolean =>
  /\.(test|fuzz|bench)\.tsx?$/.test(path) || testOnly.includes(folder(path));

test("imports point downwards through the layers", () => {
  const level = new Map(layers.flatMap((names, i) => names.map((name) => [name, i] as const)));
  const breaches: string[] = [];
  for (const { path, imports } of modules.values()) {
    if (isTest(path)) continue;
    for (const target of imports) {
      const [from, to] = [folder(path), folder(target)];
      if (from === to || target.endsWith(".json")) continue;
      const [a, b] = [level.get(from), level.get(to)];
      if (a === undefined || b === undefined || b >= a) breaches.push(`${path} imports ${target}`);
    }
  }
  expect(breaches).toEqual([]);
});

test("no import cycles, type imports included", () => {
  expect(cycles()).toEqual([]);
});

test("codecs are pure: no socket, clock, promise or log", () => {
  const impure = /\bBun\.|node:|\basync\b|\bawait\b|\bPromise\b|console\./;
  const breaches = [...modules.values()]
    .filter(({ path }) => /^http[12]?\//.test(path) && !isTest(path))
    .filter(({ text }) => impure.test(stripComments(text)))
    .map(({ path }) => path);
  expect(breaches).toEqual([]);
});

test("files, functions, parameters and exports stay within their limits", () => {
  const breaches: string[] = [];
  const report = (what: string, value: number, limit: number): void => {
    if (value > Math.max(limit, excused.get(what)?.max ?? 0)) breaches.push(`${what}: ${value}`);
  };
  for (const { path, text, tree } of modules.values()) {
    report(`${path} lines`, text.split("\n").length - 1, limits.fileLines);
    const wide = text.split("\n").findIndex((line) => [...line].length > limits.columns);
    if (wide !== -1) breaches.push(`${path}:${wide + 1}: wider than ${limits.columns} columns`);
    if (isTest(path)) continue;
    const exported = tree.statements.filter(
      (s) =>
        ts.canHaveModifiers(s) &&
        ts.getModifiers(s)?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword),
    ).length;
    report(`${path} exports`, exported, limits.exports);
    visitFunctions(tree, (name, length, parameters) => {
      report(`${path} ${name} lines`, length, limits.functionLines);
      report(`${path} ${name} parameters`, parameters, limits.parameters);
    });
  }
  expect(breaches).toEqual([]);
});

test("every excuse is still needed", () => {
  const stale = [...excused.keys()].filter((what) => !modules.has(what.split(" ")[0]!));
  expect(stale).toEqual([]);
});

test("every module says at its top what it is for, and is named after it", () => {
  const silent = [...modules.values()]
    .filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text))
    .map(({ path }) => path);
  const vague = [...modules.keys()].filter((path) => vagueNames.test(path.split("/").at(-1)!));
  expect({ silent, vague }).toEqual({ silent: [], vague: [] });
});

test("nothing banned is used", () => {
  const breaches: string[] = [];
  for (const { path, text } of modules.values()) {
    if (path === "tidy.test.ts") continue;
    for (const [pattern, instead, allowedIn] of banned)
      if (!allowedIn.test(path) && pattern.test(stripComments(text)))
        breaches.push(`${path}: ${pattern.source}: use ${instead}`);
  }
  expect(breaches).toEqual([]);
});

test("every module is reached from an entry point or a test", () => {
  const reached = new Set<string>();
  const visit = (path: string): void => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const target of modules.get(path)?.imports ?? []) visit(target);
  };
  for (const path of modules.keys()) if (entries.includes(path) || isTest(path)) visit(path);
  expect([...modules.keys()].filter((path) => !reached.has(path))).toEqual([]);
});

function readModules(): Module[] {
  return [...new Bun.Glob("**/*.{ts,tsx}").scanSync(root)]
    .filter((path) => !generated.test(path))
    .sort()
    .map((path) => {
      const text = ts.sys.readFile(join(root, path))!;
      const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
      const imports = importsOf(tree)
        .filter((from) => from.startsWith("."))
        .map((from) => normalize(join(dirname(path), from)))
        .filter((target) => !target.startsWith(".."));
      return { path, text, tree, imports };
    });
}

/** Static and dynamic imports alike. */
function importsOf(tree: ts.SourceFile): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (
      (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) &&
      node.moduleSpecifier !== undefined &&
      ts.isStringLiteral(node.moduleSpecifier)
    )
      found.push(node.moduleSpecifier.text);
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [from] = node.arguments;
      if (from !== undefined && ts.isStringLiteral(from)) found.push(from.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

function folder(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : ".";
}

function stripComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}

function cycles(): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at !== -1) return void found.push([...trail.slice(at), path].join(" > "));
    if (done.has(path)) return;
    for (const target of modules.get(path)?.imports ?? []) walk(target, [...trail, path]);
    done.add(path);
  };
  for (const path of modules.keys()) walk(path, []);
  return found;
}

function visitFunctions(
  tree: ts.SourceFile,
  report: (name: string, lines: number, parameters: number) => void,
): void {
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body) {
      const line = (position: number): number => tree.getLineAndCharacterOfPosition(position).line;
      report(
        node.name?.getText(tree) ?? "(anonymous)",
        line(node.end) - line(node.getStart(tree)) + 1,
        node.parameters.length,
      );
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
}
