/** Rules in files: what counts, and what a mistake in one does to the others. */
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblem } from "../../core/problem.ts";
import { DirectoryStore } from "./directory-store.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), "mesh-rules-"));
  closing.push(() => rmSync(made, { recursive: true }));
  return made;
}

function open(...paths: string[]): DirectoryStore {
  const store = new DirectoryStore({ paths, namespace: "default", domain: "cluster.local" });
  closing.push(() => store.close());
  return store;
}

function changed(store: DirectoryStore): Promise<void> {
  return new Promise((resolve) => store.onChange(resolve));
}

function egress(name: string, host: string): string {
  return `apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: ${name} }
spec:
  destination: { service: ${host} }
  ports: [{ port: 80, protocol: http }]
`;
}

function hosts(store: DirectoryStore): readonly string[] {
  return store
    .list()
    .map(({ config }) => (config.kind === "EgressRule" ? config.spec.service : config.kind));
}

test("every YAML and JSON file below counts, hidden ones and others do not", () => {
  const root = directory();
  mkdirSync(join(root, "deep"));
  writeFileSync(join(root, "a.yaml"), egress("a", "a.example"));
  writeFileSync(join(root, "deep", "b.yml"), egress("b", "b.example"));
  writeFileSync(join(root, ".c.yaml"), egress("c", "c.example"));
  writeFileSync(join(root, "d.txt"), egress("d", "d.example"));
  const store = open(root);
  expect(store.problems()).toEqual([]);
  expect(hosts(store)).toEqual(["a.example", "b.example"]);
  expect(store.list()[0]?.config.origin).toMatchObject({ file: join(root, "a.yaml"), line: 1 });
});

test("what is not there is a problem with its name", () => {
  const store = open("/no/such/directory");
  expect(store.problems().map(formatProblem)).toEqual([
    expect.stringContaining("/no/such/directory: "),
  ]);
});

test("a mistake keeps the last good form of its object and hurts no other", async () => {
  const root = directory();
  const path = join(root, "rules.yaml");
  writeFileSync(path, [egress("a", "a.example"), egress("b", "b.example")].join("---\n"));
  const store = open(root);
  expect(hosts(store)).toEqual(["a.example", "b.example"]);
  const broken = egress("a", "a.example").replace("ports", "prots");
  let next = changed(store);
  writeFileSync(path, [broken, egress("b", "new.example")].join("---\n"));
  await next;
  expect(hosts(store)).toEqual(["a.example", "new.example"]);
  expect(store.problems().map(formatProblem).join("\n")).toMatch(/rules\.yaml:6:3: .*prots/);
  next = changed(store);
  writeFileSync(path, egress("b", "new.example"));
  await next;
  expect(hosts(store)).toEqual(["new.example"]);
  expect(store.problems()).toEqual([]);
});

test("an entry that leads nowhere hurts no other", () => {
  const root = directory();
  symlinkSync(join(root, "nowhere"), join(root, "b.yaml"));
  for (const name of ["a", "c"]) writeFileSync(join(root, `${name}.yaml`), egress(name, name));
  const store = open(root);
  expect(hosts(store)).toEqual(["a", "c"]);
  expect(store.problems().map(formatProblem)).toEqual([expect.stringContaining("/b.yaml: ")]);
});

test("a directory that cannot be read now keeps what it held", async () => {
  const root = directory();
  const rules = join(root, "rules");
  mkdirSync(rules);
  writeFileSync(join(rules, "a.yaml"), egress("a", "a.example"));
  const store = open(rules);
  let next = changed(store);
  renameSync(rules, join(root, "away"));
  await next;
  expect(hosts(store)).toEqual(["a.example"]);
  expect(store.problems().map(formatProblem)[0]).toContain("/rules: ");
  next = changed(store);
  mkdirSync(rules);
  await next;
  expect(hosts(store)).toEqual([]);
  expect(store.problems()).toEqual([]);
});

test("a file that could not be read, and now is empty, holds nothing", async () => {
  const root = directory();
  const path = join(root, "a.yaml");
  writeFileSync(path, egress("a", "a.example"));
  const store = open(root);
  let next = changed(store);
  rmSync(path);
  symlinkSync(join(root, "nowhere"), path);
  await next;
  expect([hosts(store), store.problems().length]).toEqual([["a.example"], 1]);
  next = changed(store);
  rmSync(path);
  writeFileSync(path, "");
  await next;
  expect([hosts(store), store.problems()]).toEqual([[], []]);
});

test("an object in two files is that of the first, and the second is told", () => {
  const root = directory();
  writeFileSync(join(root, "a.yaml"), egress("same", "a.example"));
  writeFileSync(join(root, "b.yaml"), egress("same", "b.example"));
  const store = open(root);
  expect(hosts(store)).toEqual(["a.example"]);
  expect(store.problems().map(formatProblem)).toEqual([
    expect.stringMatching(/b\.yaml:1:1: .*is also in .*a\.yaml:1, which is used/),
  ]);
});
