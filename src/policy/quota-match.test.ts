/** Which quotas a request takes from, and how much, by its service and its attributes. */
import { expect, test } from "bun:test";
import { MutableBag } from "../attribute/bag.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import type { AttributeMatch, QuotaSpec } from "../model/quota-spec.ts";
import { expectLinear } from "../testing/growth.ts";
import { QuotaMatcher } from "./quota-match.ts";

const vocabulary = new Vocabulary([
  ["request.method", "STRING"],
  ["request.path", "STRING"],
  ["response.code", "INT64"],
  ["destination.dns", "DNS_NAME"],
]);

const exact = (text: string) => ({ by: "exact", text }) as const;
const prefix = (text: string) => ({ by: "prefix", text }) as const;
const regex = (pattern: string) => ({ by: "regex", pattern }) as const;
const spec = (...rules: QuotaSpec["rules"]): QuotaSpec => ({ rules });
const rule = (match: readonly AttributeMatch[], quota = "q", charge = 1) => ({
  match,
  quotas: [{ quota, charge }],
});

function charged(
  specs: readonly { readonly services?: readonly string[]; readonly spec: QuotaSpec }[],
  facts: Readonly<Record<string, string | number>> = {},
  service = "a.shop.svc.cluster.local",
): string {
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of Object.entries(facts))
    bag.setSlot(vocabulary.find(name)!.slot, value);
  const bound = specs.map(({ services = ["*"], spec: of }) => ({ name: "s", services, spec: of }));
  const charges = new QuotaMatcher(bound, vocabulary).chargesOf(service, bag);
  return charges.map(({ quota, charge }) => `${quota}=${charge}`).join(" ");
}

const get = { "request.method": "GET", "request.path": "/books/1" };

test.each<
  [match: AttributeMatch[], facts: Readonly<Record<string, string | number>>, holds: boolean]
>([
  [[], {}, true],
  [[{}], {}, true],
  [[{ "request.method": exact("GET"), "request.path": prefix("/books") }], get, true],
  [[{ "request.method": exact("POST"), "request.path": prefix("/books") }], get, false],
  [[{ "request.method": exact("GET"), "request.path": prefix("/shelves") }], get, false],
  [[{ "request.method": exact("POST") }, { "request.path": prefix("/books") }], get, true],
  [[{ "request.method": exact("POST") }, { "request.path": prefix("/x") }], get, false],
  [[{ "request.method": exact("get") }], get, false],
  [[{ "request.path": exact("/books") }], get, false],
  [[{ "request.path": regex("/books/\\d") }], get, true],
  [[{ "request.path": regex("/books") }], get, false],
  [[{ "request.path": regex("books/1") }], get, false],
  [[{ "request.path": regex("/shelves|/books/1") }], get, true],
  [[{ "request.path": regex("(") }], get, false],
  [[{ "request.path": exact("") }], {}, false],
  [[{ "response.code": exact("200") }], { "response.code": 200 }, false],
  [[{ "no.such": exact("") }], get, false],
  [[{ "no.such": exact("") }, { "request.method": exact("GET") }], get, true],
  [[{ "destination.dns": exact("a.b") }], { "destination.dns": "a.b" }, true],
])("a rule that matches %j charges a request with %j: %p", (match, facts, holds) => {
  expect(charged([{ spec: spec(rule(match)) }], facts)).toBe(holds ? "q=1" : "");
});

test("all rules that match charge, in order; the same quota their sum", () => {
  const rules = spec(rule([], "one", 1), rule([], "two", 2), rule([], "ONE", 3));
  expect(charged([{ spec: rules }, { spec: spec(rule([], "two", 5)) }])).toBe("one=4 two=7");
});

test("a service is charged by the specs that are bound to it, and by those for all", () => {
  const [a, b] = ["a.shop.svc.cluster.local", "b.shop.svc.cluster.local"];
  const specs = [
    { services: [a], spec: spec(rule([], "own")) },
    { services: ["*"], spec: spec(rule([], "all")) },
    { services: [b, "*"], spec: spec(rule([], "both")) },
  ];
  expect(charged(specs, {}, a)).toBe("own=1 all=1 both=1");
  expect(charged(specs, {}, b)).toBe("all=1 both=1");
  expect(charged(specs, {}, "elsewhere")).toBe("all=1 both=1");
});

test("it tells what it reads, and whether anybody is charged", () => {
  const none = new QuotaMatcher([], vocabulary);
  expect([none.isEmpty, [...none.reads]]).toEqual([true, []]);
  const match = [{ "request.path": exact("/") }, { "request.path": exact("/x") }];
  const one = new QuotaMatcher(
    [{ name: "s", services: ["a"], spec: spec(rule(match)) }],
    vocabulary,
  );
  expect([one.isEmpty, [...one.reads]]).toEqual([false, [1]]);
});

test("many services and specs are compiled in proportion", () => {
  expectLinear((n) => {
    const specs = Array.from({ length: n }, (_, i) => ({
      name: "s",
      services: [`s${i}.shop`],
      spec: spec(rule([])),
    }));
    new QuotaMatcher(specs, vocabulary);
  }, 300);
});
