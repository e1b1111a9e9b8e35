/** Which rules an exchange has to be compared with, and that none is missed. */
import { expect, test } from "bun:test";
import { type AttributeBag, MutableBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Value } from "../attribute/value.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import { seededRandom } from "../core/random.ts";
import { compileExpression, type Expression } from "../expression/expression.ts";
import { pairsOf, RuleIndex } from "./rule-index.ts";

const vocabulary = new Vocabulary([
  ["service", "STRING"],
  ["kind", "STRING"],
  ["port", "INT64"],
  ["secure", "BOOL"],
  ["name", "DNS_NAME"],
]);

function matchOf(source: string): Expression {
  const compiled = compileExpression(source, vocabulary);
  if (!compiled.ok) throw new Error(compiled.problem.message);
  return compiled.expression;
}

function bagOf(values: Readonly<Record<string, Value | Fault>>): AttributeBag {
  const slots = new Map(
    Object.entries(values).map(([name, value]) => [vocabulary.find(name)!.slot, value]),
  );
  return { read: (slot) => slots.get(slot) };
}

const indexOf = (...sources: (string | undefined)[]): RuleIndex =>
  new RuleIndex(
    sources.map((source) =>
      pairsOf(source === undefined ? undefined : matchOf(source), vocabulary),
    ),
  );

function selected(index: RuleIndex, bag: AttributeBag): number[] {
  return Array.from({ length: index.select(bag) }, (_, i) => index.at(i));
}

const services = ["a", "b", "c", "d", "e"].map((name) => `service == "${name}"`);

test("of rules for services only those for the service are looked at, in their order", () => {
  const index = indexOf(...services, undefined, 'service == "b" && port == 1', "secure");
  expect(selected(index, bagOf({ service: "b" }))).toEqual([1, 5, 6, 7]);
  expect(selected(index, bagOf({ service: "z" }))).toEqual([5, 7]);
});

test("where the attribute is absent, or is no value, all have to be looked at", () => {
  const index = indexOf(...services, undefined);
  expect(selected(index, bagOf({}))).toEqual([0, 1, 2, 3, 4, 5]);
  expect(selected(index, bagOf({ service: new Fault("of another type") }))).toHaveLength(6);
});

test("the attribute that tells most rules apart is what they are found by", () => {
  const index = indexOf(...services.map((service) => `kind == "inbound" && ${service}`));
  expect(index.slots).toEqual([vocabulary.find("service")!.slot]);
});

test("rules of several attributes are found by each of them", () => {
  const ports = [1, 2, 3, 4].map((port) => `port == ${port}`);
  const index = indexOf(...ports, ...services, "secure");
  expect(selected(index, bagOf({ service: "d", port: 2 }))).toEqual([1, 7, 9]);
  expect(selected(index, bagOf({ service: "d" }))).toEqual([0, 1, 2, 3, 7, 9]);
  expect(selected(index, bagOf({ port: 4, service: "a" }))).toEqual([3, 4, 9]);
});

test("the same value under 2 ** 53 and above it, true and false, are found", () => {
  const long = "9223372036854775807";
  const index = indexOf(
    `port == ${long}`,
    "port == 9007199254740993",
    "port == 0",
    "port == 7",
    "secure == true",
    "secure == false",
    "secure == true && kind == kind",
    "secure == false && kind == kind",
    "kind == kind && secure == false",
    "kind == kind && secure == true",
  );
  expect(selected(index, bagOf({ port: BigInt(long), secure: true }))).toEqual([0, 4, 6, 9]);
  expect(selected(index, bagOf({ port: 0, secure: false }))).toEqual([2, 5, 7, 8]);
});

test("a pair that is not compared by === is no way to find a rule", () => {
  const match = matchOf('name == dnsName("a.b")');
  expect(pairsOf(match, vocabulary)).toEqual([]);
});

test("few rules are not worth a table", () => {
  expect(indexOf(services[0], services[1]).slots).toEqual([]);
});

test.each([1, 2, 3])("with rules made by chance (seed %i) none that matches is missed", (seed) => {
  const random = seededRandom(seed);
  const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const conditions = [
    () => `service == "${one(["a", "b", "c"])}"`,
    () => `"${one(["x", "y"])}" == kind`,
    () => `port == ${one([1, 2, 3])}`,
    () => `secure == ${one(["true", "false"])}`,
    () => `service != "${one(["a", "b"])}"`,
    () => `(port == 1 || kind == "x")`,
  ];
  for (let round = 0; round < 50; round++) {
    const sources = Array.from({ length: 1 + Math.floor(random() * 40) }, () =>
      Array.from({ length: 1 + Math.floor(random() * 3) }, () => one(conditions)()).join(" && "),
    );
    const matches = sources.map(matchOf);
    const index = new RuleIndex(matches.map((match) => pairsOf(match, vocabulary)));
    for (let i = 0; i < 20; i++) {
      const bag = new MutableBag(vocabulary);
      const set = (name: string, value: Value): void =>
        bag.setSlot(vocabulary.find(name)!.slot, random() < 0.8 ? value : undefined);
      set("service", one(["a", "b", "c", "d"]));
      set("kind", one(["x", "y", "z"]));
      set("port", one([1, 2, 3, 4]));
      set("secure", one([true, false]));
      const found = selected(index, bag);
      expect(found).toEqual(found.toSorted((a, b) => a - b));
      const missed = matches.flatMap((match, at) =>
        match.evaluate(bag) === true && !found.includes(at) ? [sources[at]] : [],
      );
      expect(missed).toEqual([]);
    }
  }
});
