/** What instances of one exchange share, and what they do not. */
import { expect, test } from "bun:test";
import { adapters } from "../adapter/inventory.ts";
import type { AttributeBag, Reading } from "../attribute/bag.ts";
import { policySetOf } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { resolvePolicy } from "./resolve.ts";
import { templates } from "./template.ts";

const text = (name: string, path: string): string => `
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: ${name}, namespace: default }
spec:
  compiledTemplate: metric
  params: { value: "1", dimensions: { path: ${path}, host: request.host } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: ${name}, namespace: default }
spec:
  actions: [{ handler: { compiledAdapter: noop }, instances: [${name}] }]`;

function instances() {
  const documents = [
    text("a", "request.path"),
    text("b", "request.path"),
    text("c", "request.host"),
  ];
  const { configs } = readDocuments(documents.join("\n---"), { file: "f", namespace: "default" });
  const rootNamespace = policyRootNamespace;
  const inventory = { adapters, templates };
  const { policy, problems } = resolvePolicy(policySetOf(configs), inventory, { rootNamespace });
  expect(problems).toEqual([]);
  const [a, b, c] = policy.rules.map(({ actions }) => actions[0]!.instances[0]!);
  return { a: a!, b: b!, c: c! };
}

const dimensionsOf = (built: unknown): Record<string, unknown> =>
  (built as { dimensions: Record<string, unknown> }).dimensions;

/** One that is pointed at another exchange by a new moment, as a proxy's is. */
class MovingBag implements AttributeBag {
  reads = 0;
  moment = 0;

  read(): Reading {
    this.reads++;
    return `at ${this.moment}`;
  }
}

test("equal dimensions of one exchange are one object, made once", () => {
  const { a, b, c } = instances();
  const bag = new MovingBag();
  const first = dimensionsOf(a.build(bag));
  expect(bag.reads).toBe(2);
  expect(dimensionsOf(b.build(bag))).toBe(first);
  expect(bag.reads).toBe(2);
  expect(dimensionsOf(c.build(bag))).not.toBe(first);
});

test("the next exchange has its own where its values are others, and the same where not", () => {
  const { a, b } = instances();
  const bag = new MovingBag();
  const first = dimensionsOf(a.build(bag));
  bag.moment++;
  const second = dimensionsOf(b.build(bag));
  expect(first.path).toEqual({ type: "STRING", value: "at 0" });
  expect(second.path).toEqual({ type: "STRING", value: "at 1" });
  const other = new MovingBag();
  other.moment = 1;
  expect(dimensionsOf(b.build(other))).toBe(second);
  bag.moment = 0;
  expect(dimensionsOf(b.build(bag))).toBe(first);
});

test("a bag that cannot tell is read each time", () => {
  const { a } = instances();
  let reads = 0;
  const bag: AttributeBag = { read: () => `x${reads++}` };
  const [one, other] = [dimensionsOf(a.build(bag)), dimensionsOf(a.build(bag))];
  expect(one.path).toEqual({ type: "STRING", value: "x0" });
  expect(other.path).toEqual({ type: "STRING", value: "x2" });
});
