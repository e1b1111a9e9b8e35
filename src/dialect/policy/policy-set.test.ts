/** What a set of documents declares, and the vocabulary that is there without any. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Declared } from "../../model/policy-set.ts";
import { readDocuments } from "../read.ts";
import { declaredPolicy, policySetOf } from "./policy-set.ts";
import { standardManifests } from "./standard-manifest.ts";

const document = (kind: string, name: string, spec: string): string =>
  `kind: ${kind}\napiVersion: config.istio.io/v1alpha2\nmetadata: { name: ${name} }\n` +
  `spec: ${spec}\n`;

function read(...texts: readonly string[]) {
  const text = texts.join("---\n");
  const { configs, problems } = readDocuments(text, { file: "p.yaml", namespace: "shop" });
  expect(problems).toEqual([]);
  return configs;
}

test("objects by their kinds, whatever their documents are called, in one order", () => {
  const configs = read(
    document("rule", "b", "{}"),
    document("rule", "a", "{}"),
    document("stdio", "log", "{}"),
    document("handler", "deny", "{ compiledAdapter: denier }"),
    document("logentry", "entry", "{}"),
    document("QuotaSpec", "q", "{ rules: [{ quotas: [{ quota: a }] }] }"),
    document("QuotaSpecBinding", "q", "{ services: [{ name: a }], quotaSpecs: [{ name: q }] }"),
    document(
      "HTTPAPISpec",
      "api",
      "{ patterns: [{ httpMethod: GET, uriTemplate: /, " +
        "attributes: { attributes: { a: { boolValue: true } } } }] }",
    ),
    document("HTTPAPISpecBinding", "api", "{ services: [{ name: a }], apiSpecs: [{ name: api }] }"),
    document("attributemanifest", "mine", "{ attributes: { a: { valueType: BOOL } } }"),
  );
  const kinds: Readonly<Record<string, readonly Declared<unknown>[]>> = {
    ...declaredPolicy(configs),
  };
  const names = Object.entries(kinds).map(
    ([kind, all]) => `${kind}: ${all.map(({ name, namespace }) => `${namespace}/${name}`)}`,
  );
  expect(names).toEqual([
    "manifests: shop/mine",
    "handlers: shop/deny,shop/log",
    "instances: shop/entry",
    "rules: shop/a,shop/b",
    "quotaSpecs: shop/q",
    "quotaSpecBindings: shop/q",
    "httpApiSpecs: shop/api",
    "httpApiSpecBindings: shop/api",
  ]);
  expect(declaredPolicy(configs.toReversed())).toEqual(declaredPolicy(configs));
});

test("the standard manifests are there unless one of their name is applied", () => {
  const names = (...texts: readonly string[]) =>
    policySetOf(read(...texts)).manifests.map(({ name, namespace }) => `${namespace}/${name}`);
  expect(names()).toEqual(["istio-system/istioproxy", "istio-system/kubernetes"]);
  expect(names(document("attributemanifest", "istioproxy", "{}"))).toEqual([
    "istio-system/kubernetes",
    "shop/istioproxy",
  ]);
});

test("what was built in is what the reader makes of rules/attributes.yaml", () => {
  const file = join(import.meta.dir, "..", "..", "..", "rules", "attributes.yaml");
  const { manifests } = declaredPolicy(read(readFileSync(file, "utf8")));
  const facts = (all: typeof manifests) =>
    all.map(({ name, namespace, spec }) => ({
      name,
      namespace,
      revision: spec.revision,
      attributes: spec.attributes.map(({ at: _, ...attribute }) => attribute),
    }));
  expect(facts(standardManifests)).toEqual(facts(manifests));
});

test("every attribute says what it is", () => {
  const silent = standardManifests.flatMap(({ spec }) =>
    spec.attributes.filter(({ description }) => description === ""),
  );
  expect(silent).toEqual([]);
});
