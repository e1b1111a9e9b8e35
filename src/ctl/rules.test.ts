/** Every file below rules/ is one that an operator could apply as it stands. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { policyProblems } from "../adapter/policy-problem.ts";
import { readDocuments } from "../dialect/read.ts";
import { validateSet } from "../dialect/validate-set.ts";
import { configKey } from "../model/config.ts";
import { defaultMeshSettings } from "../model/mesh-settings.ts";
import { demoRules, policySuggestions, suggestions } from "./demo/demo-rule.ts";

const rules = join(import.meta.dir, "..", "..", "rules");
const files = readdirSync(rules, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".yaml"))
  .sort();

function read(name: string) {
  const text = readFileSync(join(rules, name), "utf8");
  return readDocuments(text, { file: name, namespace: "default" });
}

test("there are rules", () => {
  expect(files.length).toBeGreaterThan(15);
});

test.each(files)("%s reads without a problem", (name) => {
  const { configs, problems } = read(name);
  expect(problems).toEqual([]);
  expect(configs.length).toBeGreaterThan(0);
  expect(validateSet(configs, {}).filter(({ severity }) => severity === "error")).toEqual([]);
});

test("the demo carries every Bookinfo rule as it is in the file", () => {
  const expected = files
    .filter((name) => name.startsWith("bookinfo/"))
    .map((name) => [name.slice("bookinfo/".length), readFileSync(join(rules, name), "utf8")]);
  expect(demoRules).toEqual(Object.fromEntries(expected));
});

test("what the demo suggests can be applied one after the other, without a warning", () => {
  const all = suggestions.flatMap(([file]) => read(`bookinfo/${file}`).configs);
  const configs = [...new Map(all.map((config) => [configKey(config), config])).values()];
  const hosts = ["details", "productpage", "ratings", "reviews"].map(
    (name) => `${name}.default.svc.cluster.local`,
  );
  expect(validateSet(configs, { hosts: new Set(hosts) })).toEqual([]);
});

test("the policy that the demo suggests holds together", () => {
  const configs = policySuggestions.flatMap(([file]) => read(`bookinfo/${file}`).configs);
  expect(configs).toHaveLength(2);
  expect(policyProblems(configs)).toEqual([]);
});

test("rules/mesh-config.yaml holds the defaults", () => {
  expect(read("mesh-config.yaml").configs.map(({ spec }) => spec)).toEqual([defaultMeshSettings]);
});
