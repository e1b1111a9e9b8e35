/** The pages below docs/ say what is so: flags, reasons, pages and commands come from the code. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { adapters } from "../adapter/inventory.ts";
import { policyProblems } from "../adapter/policy-problem.ts";
import { Failures } from "../core/failure.ts";
import { formatProblem } from "../core/problem.ts";
import { readDocuments } from "../dialect/read.ts";
import { MANAGER_HELP } from "../manager/flags.ts";
import { MIXER_HELP } from "../mixer/flags.ts";
import { pages as adminPages } from "../proxy/admin/inventory.ts";
import { proxyUsage } from "../proxy/flag-table.ts";
import { expectGolden } from "../testing/golden.ts";
import { parseCommand } from "./arguments.ts";
import { commands, groups } from "./inventory.ts";
import { referencePage } from "./reference.ts";

const root = join(import.meta.dir, "..", "..");
const docs = join(root, "docs");
const pages = readdirSync(docs).filter((name) => name.endsWith(".md"));
const page = (name: string): string => readFileSync(join(docs, name), "utf8");

test("ctl.md is what the definitions say", async () => {
  expectGolden(join(docs, "ctl.md"), await referencePage(commands, groups));
});

test("proxy.md has every flag, every reason with its flag and status, and every admin page", () => {
  const text = page("proxy.md");
  const flags = [...proxyUsage().matchAll(/^ {2}(?:-\w, )? *(--[a-z-]+)/gm)].map(([, f]) => f!);
  expect(flags.length).toBeGreaterThan(20);
  const reasons = Object.values(Failures).map(({ reason, flag, http, name }) => {
    const status = name === "faultAbort" ? "the rule's" : http === 0 ? "none" : String(http);
    return `| \`${reason}\` | ${flag} | ${status} |`;
  });
  const wanted = [
    ...flags.map((flag) => `\`${flag}\``),
    ...adminPages.map(({ method, path }) => `\`${method} ${path}\``),
    ...reasons,
  ];
  expect(wanted.filter((part) => !text.includes(part))).toEqual([]);
  const listed = text.match(/^\| `[a-z][a-z0-9-]+` \| [A-Z]+ \| .*$/gm) ?? [];
  expect(listed).toHaveLength(reasons.length);
});

test("manager.md has every flag", () => {
  const flags = [...MANAGER_HELP.matchAll(/(--[a-z-]+)/g)].map(([flag]) => flag);
  expect(flags.length).toBeGreaterThan(8);
  expect(flags.filter((flag) => !page("manager.md").includes(flag))).toEqual([]);
});

test("policy.md has every flag of the mixer", () => {
  const flags = [...MIXER_HELP.matchAll(/(--[a-z-]+)/g)].map(([flag]) => flag);
  expect(flags.length).toBeGreaterThan(15);
  expect(flags.filter((flag) => !page("policy.md").includes(flag))).toEqual([]);
});

test("policy.md has every adapter", () => {
  const rows = [...page("policy.md").matchAll(/^\| `([a-z]+)`(?:, `[a-z]+`)* \| [a-z, ]+ \| /gm)];
  const named = new Set(rows.map(([, name]) => name));
  expect(adapters.map(({ name }) => name).filter((name) => !named.has(name))).toEqual([]);
});

const policies = [...page("policy.md").matchAll(/^```yaml\n(apiVersion[\s\S]*?)^```/gm)];

const named = policies.map(([, text]) => [/name: ([\w-]+)/.exec(text!)?.[1], text!] as const);

test.each(named)("policy.md: the rule %s could be applied", (_name, text) => {
  const { configs, problems } = readDocuments(text, { file: "policy.md", namespace: "default" });
  expect(configs.length).toBeGreaterThan(0);
  expect([...problems, ...policyProblems(configs)].map(formatProblem)).toEqual([]);
});

test.each(pages)("%s links to what is there", (name) => {
  for (const [, link] of page(name).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g))
    expect({ link, there: existsSync(join(docs, link!)) }).toEqual({ link: link!, there: true });
});

const shown = pages.flatMap((name) =>
  [...page(name).matchAll(/(?:^ *|`)mesh ctl ([^`\n]+?)(?:`|$)/gm)]
    .map(([, line]) => line!)
    .filter((line) => /^[a-z]/.test(line) && !/[[\]<>$"|]/.test(line))
    .map((line) => [name, line] as const),
);

test.each(shown)("%s: `mesh ctl %s` would be understood", async (_name, line) => {
  const [name, ...others] = line.split(" ");
  const entry = commands.find((one) => one.name === name || one.aliases.includes(name!));
  const command = await entry!.load();
  parseCommand(
    others.filter((word) => word !== "--help"),
    command,
  );
  const files = others.filter((word) => word.startsWith("rules/bookinfo/"));
  for (const file of files) expect(existsSync(join(root, file))).toBe(true);
});
