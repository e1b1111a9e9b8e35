/**
 * What operators are told about policy that does not fit together, and what works all the same.
 * `resolve.golden` has what they wrote, and beside it what they are told and what is left.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatProblem } from "../core/problem.ts";
import { declaredPolicy } from "../dialect/policy/policy-set.ts";
import type { Declared, PolicySet } from "../model/policy-set.ts";
import { expectGolden } from "../testing/golden.ts";
import { expectLinear } from "../testing/growth.ts";
import { resolveSample, resolveSet } from "../testing/policy-sample.ts";
import type { Resolved } from "./resolve.ts";
import type { ResolvedRule } from "./resolved-policy.ts";

const golden = join(import.meta.dir, "resolve.golden");
const files = [...new Bun.Glob("*.yaml").scanSync(golden)].sort();

test("there is something to read", () => {
  expect(files.length).toBeGreaterThan(5);
});

test.each(files)("%s", (file) => {
  const resolved = resolveSample(readFileSync(join(golden, file), "utf8"), file);
  expectGolden(join(golden, file.replace(".yaml", ".txt")), transcript(resolved));
});

function transcript({ policy, problems }: Resolved): string {
  return [
    ...problems.map(formatProblem),
    "",
    ...policy.rules.flatMap(ruleLines),
    `handlers: ${policy.handlers.map(({ name }) => name).join(", ")}`,
    ...[...policy.quotaSpecs, ...policy.httpApiSpecs].map(
      ({ name, services }) => `${name} of ${services.join(", ")}`,
    ),
    "",
  ].join("\n");
}

function ruleLines(rule: ResolvedRule): string[] {
  const operations = [...rule.requestHeaders, ...rule.responseHeaders];
  return [
    `${rule.name} (${rule.runsAt}) ${rule.match ? `if ${rule.match.canonical}` : "always"}`,
    ...rule.actions.map(
      ({ handler, variety, instances, charge }) =>
        `  ${variety} ${handler.name}: ${instances.map(({ name }) => name).join(", ")}` +
        (charge === 0 ? "" : `, takes ${charge}`),
    ),
    ...operations.map(
      ({ name, operation, values }) =>
        `  ${operation} ${name}: ${values.map(({ canonical }) => canonical).join(", ")}`,
    ),
    ...samplingLines(rule),
    ...rule.outputs.map(({ action, field }) => `  reads ${field} of action ${action}`),
  ];
}

function samplingLines({ sampling }: ResolvedRule): string[] {
  if (sampling === undefined) return [];
  const random = sampling.by === "both" ? sampling.random : sampling;
  const shares = random.by === "random" ? [`by ${random.attribute?.canonical ?? "a share"}`] : [];
  return [`  sampled ${[...shares, ...(sampling.by === "random" ? [] : ["by rate"])].join(", ")}`];
}

describe("work grows with what is declared, and no faster", () => {
  const at = { file: "a", line: 1, column: 1 };
  const declare = <Spec>(name: string, spec: Spec): Declared<Spec> => {
    return { name, namespace: "default", origin: at, spec };
  };
  const list = <T>(n: number, make: (i: number) => T): T[] =>
    Array.from({ length: n }, (_, i) => make(i));
  const text = (source: string) => ({ source, at });
  const attribute = (i: number) => `attribute.number${i}`;
  const setOf = (n: number, slip: string): PolicySet => ({
    ...declaredPolicy([]),
    manifests: [
      declare("m", {
        revision: "",
        attributes: list(n, (i) => ({ name: attribute(i), type: "STRING", description: "", at })),
      }),
    ],
    handlers: list(n, (i) =>
      declare(`h${i}`, {
        writtenKind: "handler",
        adapter: "denier",
        adapterAt: at,
        parameters: { json: "{}", positions: {} },
      }),
    ),
    instances: list(n, (i) =>
      declare(`i${i}`, {
        writtenKind: "instance",
        template: "listentry",
        templateAt: at,
        fields: { value: text(`${attribute(i)}${slip} | "a"`) },
        positions: {},
        attributeBindings: {},
      }),
    ),
    rules: list(n, (i) =>
      declare(`r${i}`, {
        match: text(`${attribute(i)}${slip} == "a"`),
        actions: [
          {
            name: "",
            handler: { name: `h${i}${slip}`, at },
            instances: [{ name: `i${i}`, at }],
            charge: 0,
            at,
          },
        ],
        requestHeaders: [],
        responseHeaders: [],
        failPolicy: "closed",
      }),
    ),
  });

  test.each([
    ["all of it fine", "", 0],
    ["all of it misspelt", "x", 4],
  ])("%s", (_, slip, problems) => {
    const sets = new Map([15, 60].map((n) => [n, setOf(n, slip)]));
    const resolve = (n: number): Resolved => resolveSet(sets.get(n)!);
    expect(resolve(60).problems.length).toBe(60 * problems);
    expectLinear(resolve, 15);
  });

  test("what is told has an end", () => {
    const { problems } = resolveSet(setOf(3_000, "x"));
    expect(problems.length).toBe(10_000);
  });

  test("many names for one thing that is not there", () => {
    const sets = new Map(
      [20, 80].map((n) => {
        const [rule] = setOf(1, "").rules;
        const [action] = rule!.spec.actions;
        const instances = list(n, (i) => ({ name: `nothing${i}`, at }));
        const spec = { ...rule!.spec, actions: [{ ...action!, instances }] };
        return [n, { ...setOf(n, ""), rules: [declare("r", spec)] }] as const;
      }),
    );
    expectLinear((n) => void resolveSet(sets.get(n)!), 20);
  });
});
