/** Policy that changes, with mistakes: what is in force then. */
import { expect, test } from "bun:test";
import type { PolicySet } from "../model/policy-set.ts";
import { readSample, resolveSet } from "../testing/policy-sample.ts";
import { resolveKeeping } from "./last-good.ts";

const rule = (name: string, match: string): string =>
  `---\nkind: rule\nmetadata: { name: ${name} }\nspec:\n  match: ${match}\n` +
  "  actions: [{ handler: deny, instances: [nothing] }]\n";

/** What is in force after each of several documents: rules with their conditions. */
function history(...documents: readonly string[]): string[] {
  let former: PolicySet | undefined;
  return documents.map((text) => {
    const { set, policy, problems, kept } = resolveKeeping(readSample(text), former, resolveSet);
    former = set;
    const rules = policy.rules.map(({ name, match }) => `${name.split(".")[0]} ${match?.source}`);
    const handlers = policy.handlers.map(({ signature }) => JSON.parse(signature)[1]);
    return [...rules, ...handlers, `${problems.length} problems`, ...kept].join("; ");
  });
}

test("an object that is broken stays in force as it was; others change", () => {
  const [a, b] = ['request.path == "/a"', 'request.path == "/b"'];
  expect(
    history(
      rule("one", a) + rule("two", a),
      rule("one", "request.path") + rule("two", b),
      rule("one", "request.path") + rule("two", a),
      rule("one", b) + rule("two", a),
    ),
  ).toEqual([
    `one ${a}; two ${a}; {}; 0 problems`,
    `one ${a}; two ${b}; {}; 1 problems; one.rule.default`,
    `one ${a}; two ${a}; {}; 1 problems; one.rule.default`,
    `one ${b}; two ${a}; {}; 0 problems`,
  ]);
});

test("an object that was never good is left out, and one that is deleted is gone", () => {
  const good = 'request.path == "/a"';
  expect(history(rule("one", "request.path"), rule("two", good), rule("one", good))).toEqual([
    "1 problems",
    `two ${good}; {}; 0 problems`,
    `one ${good}; {}; 0 problems`,
  ]);
});

test("parameters that are refused leave the handler as it was, and the rules that ask it", () => {
  const handler = (params: string): string =>
    `---\nkind: denier\nmetadata: { name: old }\nspec: ${params}\n---
kind: rule\nmetadata: { name: r }
spec: { match: request.path == "/", actions: [{ handler: old.denier, instances: [nothing] }] }\n`;
  expect(history(handler("{ status: { code: 7 } }"), handler("{ status: { cod: 7 } }"))).toEqual([
    'r request.path == "/"; {"status":{"code":7}}; 0 problems',
    'r request.path == "/"; {"status":{"code":7}}; 3 problems; old.denier.default',
  ]);
});
