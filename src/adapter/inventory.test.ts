/** What holds for every adapter, whatever it does. */
import { expect, test } from "bun:test";
import { adapterKinds, templateKinds } from "../dialect/policy/typed-kind.ts";
import { templates } from "../policy/template.ts";
import { problemsOf } from "../testing/adapter-environment.ts";
import { adapterNamed, adapters } from "./inventory.ts";

test("no two adapters go by one name", () => {
  const names = adapters.flatMap(({ name, aliases }) => [name, ...aliases]);
  expect(names.toSorted()).toEqual([...new Set(names)].sort());
  expect(adapterNamed("list")?.name).toBe("listchecker");
  expect(adapterNamed("constructor")).toBeUndefined();
});

test.each(adapters.map((adapter) => [adapter.name, adapter] as const))(
  "%s: a misspelt parameter is an error, and so is what is no map",
  (_, adapter) => {
    const misspelt = problemsOf(adapter, { thereIsNoSuchParameter: 1 });
    expect(misspelt).toContain("thereIsNoSuchParameter: unknown field");
    expect(problemsOf(adapter, "[1]")).toContain(": must be a map of fields (remove the dash)");
    expect(problemsOf(adapter, "a: [").length).toBeGreaterThan(0);
  },
);

test("what an adapter takes are templates", () => {
  for (const adapter of adapters)
    for (const template of adapter.templates) expect(Object.hasOwn(templates, template)).toBe(true);
});

test("every adapter and every template is a kind too, as it was before there were handlers", () => {
  const names = adapters.flatMap(({ name, aliases }) => [name, ...aliases]);
  expect(names.filter((name) => !adapterKinds.has(name))).toEqual([]);
  expect([...templateKinds].sort()).toEqual(Object.keys(templates).sort());
  for (const name of adapterKinds.values()) expect(adapterNamed(name)?.name).toBe(name);
});
