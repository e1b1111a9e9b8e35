/** Reading policy takes time in proportion to its text, whatever stands in it. */
import { test } from "bun:test";
import { expectLinear } from "../../testing/growth.ts";
import { readDocuments } from "../read.ts";
import { validateSet } from "../validate-set.ts";
import { declaredPolicy } from "./policy-set.ts";

const head = (kind: string, name = "x"): string =>
  `apiVersion: config.istio.io/v1alpha2\nkind: ${kind}\nmetadata: { name: ${name} }\nspec:\n`;

function list(n: number, line: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => line(i)).join("");
}

const denial = "rules: [{ aspects: [{ kind: denials }] }]\n";

function read(text: string): void {
  const { configs } = readDocuments(text, { file: "p.yaml", namespace: "default" });
  validateSet(configs, {});
  declaredPolicy(configs);
}

/** Of a text with n things in it. */
const texts: readonly (readonly [title: string, text: (n: number) => string])[] = [
  ["actions", (n) => `${head("rule")}  actions:\n${list(n, (i) => `  - handler: h${i}\n`)}`],
  ["parameters", (n) => `${head("list")}  overrides:\n${list(n, (i) => `  - a${i}\n`)}`],
  ["dimensions", (n) => `${head("quota")}  dimensions:\n${list(n, (i) => `    d${i}: a\n`)}`],
  ["a rate limit", (n) => `${head("rule")}  rateLimit: 1/s by a${list(n, (i) => `, a${i}`)}`],
  [
    "clauses",
    (n) =>
      `${head("QuotaSpec")}  rules:\n  - quotas: [{ quota: q }]\n    match:\n` +
      list(n, (i) => `    - clause: { a${i}: { exact: b } }\n`),
  ],
  [
    "subjects of 0.1",
    (n) =>
      "adapters: [{ name: default, impl: denyChecker }]\n" +
      list(n, (i) => `---\nsubject: s${i}.a.svc.cluster.local\n${denial}`) +
      `---\nsubject: global\n${denial}`,
  ],
  [
    "references of 0.1 to nothing",
    (n) =>
      "subject: global\nrules:\n- aspects:\n" +
      list(n, (i) => `  - { kind: denials, adapter: a${i} }\n`),
  ],
];

test.each(texts)(
  "%s",
  (_, text) => {
    expectLinear((n) => read(text(n)), 200);
  },
  60_000,
);
