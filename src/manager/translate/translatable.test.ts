/** Objects that no message can hold are refused one by one, should one pass the validator. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readDocuments } from "../../dialect/read.ts";
import type { Config } from "../../model/config.ts";
import { translationProblem } from "./translatable.ts";

const rules = join(import.meta.dir, "..", "..", "..", "rules");

/** Every object of the samples: one of each kind at least. */
function samples(): readonly Config[] {
  return readdirSync(rules, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".yaml"))
    .flatMap((file) => {
      const text = readFileSync(join(rules, file), "utf8");
      return readDocuments(text, { file, namespace: "default", domain: "cluster.local" }).configs;
    });
}

/** The same object, one number of whose spec is no number that a message holds. */
function spoilt(config: Config): Config {
  let done = false;
  const spec = JSON.parse(JSON.stringify(config.spec), (key, value) => {
    const counts =
      /(?<!^ttl)Ms$|^port$|^number$|weight|maxConnections|^line$/.test(key) || /^\d+$/.test(key);
    if (typeof value !== "number" || done || !counts) return value;
    done = true;
    return 2 ** 40;
  });
  return { ...config, spec };
}

const numberless: readonly string[] = [
  ...["PeerAuthentication", "AuthorizationPolicy", "Policy", "MeshPolicy"],
  ...["ServiceRole", "ServiceRoleBinding", "ClusterRbacConfig"],
];

test("a text that is no text is that object's problem", () => {
  const asked = samples().filter(({ kind }) => numberless.includes(kind));
  expect(new Set<string>(asked.map(({ kind }) => kind))).toEqual(new Set(numberless));
  for (const config of asked) {
    const spec = { ...config.spec, name: "\ud800" };
    const problem = translationProblem({ ...config, spec } as Config);
    expect(problem?.message).toBe("cannot be translated: a text has half of a character");
  }
});

test("what the samples hold can be translated, object by object", () => {
  const configs = samples();
  expect(configs.length).toBeGreaterThan(10);
  expect(configs.map(translationProblem)).toEqual(configs.map(() => undefined));
});

test("a number that is too large for its field is that object's problem", () => {
  const kinds = new Set<string>();
  for (const config of samples()) {
    const problem = translationProblem(spoilt(config));
    if (problem === undefined) continue;
    kinds.add(config.kind);
    expect(problem).toMatchObject({ severity: "error", position: config.origin, path: "spec" });
    expect(problem.message).toStartWith("cannot be translated: ");
  }
  // Every number that those may have fits, or they become nothing without each other.
  const spacious = ["QuotaSpec", "HTTPAPISpec", "ServiceConfig", "GlobalConfig", ...numberless];
  const all = samples().map(({ kind }) => kind);
  expect(kinds).toEqual(new Set(all.filter((kind) => !spacious.includes(kind))));
});
