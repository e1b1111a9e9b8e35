/**
 * Rule files of Istio's own integration tests and of its Bookinfo samples: each reads without an
 * error, but for those that were written to be refused. Templates are filled in as the tests did.
 */
import { readFileSync } from "node:fs";
import { formatProblem, isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { type Suite, Verdicts } from "./suite.ts";

const files: readonly string[] = [
  "routes/integration_rules_pilot-0.1.6",
  "routes/integration_rules_pilot-master",
  "routes/integration_rules_istio-0.8.0",
  "bookinfo/istio-0.1.6",
  "bookinfo/istio-0.2.12",
  "bookinfo/istio-0.8.0",
  "bookinfo/istio-master",
];

interface Vectors {
  readonly files: readonly { readonly path: string; readonly content: unknown }[];
}

/** Rules that the official converter translated: what goes in has to read. */
const conversion: Suite = {
  file: "manager/routes/convert_v1alpha1_to_v1alpha3_istio-0.8.0.json",
  run: async (path) => {
    const { cases } = JSON.parse(readFileSync(path, "utf8")) as {
      cases: readonly { name: string; in: Readonly<Record<string, string>> }[];
    };
    const verdicts = new Verdicts();
    for (const { name, in: inputs } of cases) {
      for (const [file, content] of Object.entries(inputs))
        judge(`${name}: ${file}`, content, verdicts);
      verdicts.skip(name, "conversion to VirtualService: not there yet");
    }
    return verdicts.result();
  },
};

const ruleFiles: readonly Suite[] = files.map((name) => ({
  file: `manager/${name}.json`,
  run: async (path) => {
    const { files: rules } = JSON.parse(readFileSync(path, "utf8")) as Vectors;
    const verdicts = new Verdicts();
    for (const { path: file, content } of rules)
      if (typeof content === "string") judge(file, content, verdicts);
      else verdicts.skip(file, "not a text");
    return verdicts.result();
  },
}));

export const routeSuites: readonly Suite[] = [...ruleFiles, conversion];

/** What the tests put into templates. */
const values: Readonly<Record<string, string>> = {
  Path: "/new/path",
  from: "/old/path",
  to: "/new/path",
  service: "httpbin.org",
};

function fillIn(template: string): string {
  return template
    .replace(/\{\{-?\s*(if|else|end|range|with|define|template)\b[^}]*\}\}/g, "")
    .replace(/\{\{-?\s*\.?([\w.]*)[^}]*\}\}/g, (_, name: string) => values[name] ?? "filled");
}

function judge(file: string, content: string, verdicts: Verdicts): void {
  const documents = fillIn(content)
    .split(/^---.*$/m)
    .filter(isRule);
  if (documents.length === 0) return verdicts.skip(file, "holds no rule of a kind in scope");
  const text = documents.join("---\n");
  const { configs, problems } = readDocuments(text, { file, namespace: "default" });
  const error = problems.find(isError);
  const trap = traps.find(({ applies }) => applies(file, content));
  if (trap !== undefined) {
    const refused = error !== undefined;
    verdicts.judge(file, refused ? undefined : `is accepted, ${trap.why}`);
  } else if (error !== undefined) verdicts.judge(file, formatProblem(error));
  else {
    const missing = documents.length - configs.length;
    verdicts.judge(file, missing === 0 ? undefined : `${missing} documents yield no rule`);
  }
}

const kinds = /^kind: *"?(RouteRule|DestinationPolicy|EgressRule|ServiceEntry|WorkloadEntry)\b/m;
const typed = /^type: *(route-rule|destination-policy|unknown-rule)\b/m;
const bare = /^destination:/m;

function isRule(document: string): boolean {
  return kinds.test(document) || typed.test(document) || bare.test(document);
}

/** Files that have to be refused. */
const traps: readonly {
  readonly why: string;
  readonly applies: (file: string, content: string) => boolean;
}[] = [
  {
    why: "though its test expects a refusal",
    applies: (file) => /\/invalid-[\w-]+\.yaml$/.test(file),
  },
  {
    why: "though a source needs a name (0.3, manager 9)",
    applies: (_, content) => /^ +source:\n +labels:/m.test(content) && kinds.test(content),
  },
];
