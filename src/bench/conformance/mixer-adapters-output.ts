/**
 * What prometheus and stdio put out for the default configuration of Istio 1.4.10.
 *
 * The configuration and the bags are in another file of the vectors. What its expressions yield is
 * worked out here by a reader of the few forms that they have (attributes, literals, `|`, `==`,
 * indices, conditional), so that these cases judge the adapters alone.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { prometheus } from "../../adapter/prometheus.ts";
import { stdio } from "../../adapter/stdio.ts";
import type { TypedValue } from "../../attribute/value.ts";
import type { AnyInstance, Dimensions } from "../../policy/template.ts";
import { adapterEnvironment, openLocal } from "../../testing/adapter-environment.ts";
import { captureLines } from "../../testing/capture-lines.ts";
import { toTypedValue, type VectorValue } from "./mixer-adapter-values.ts";
import { difference } from "./mixer-adapters.ts";
import { type Suite, Verdicts } from "./suite.ts";

interface Parameters {
  readonly value?: string;
  readonly dimensions?: Readonly<Record<string, string>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly timestamp?: string;
  readonly severity?: string;
}

interface Defaults {
  readonly bags: Readonly<Record<string, Readonly<Record<string, VectorValue>>>>;
  readonly docs: readonly {
    readonly kind: string;
    readonly metadata: { readonly name: string };
    readonly spec: { readonly params?: Parameters };
  }[];
}

interface Vector {
  readonly kind: string;
  readonly bag: string;
  readonly instance: string;
  readonly line: string;
  readonly output_as_json: boolean;
  readonly severity_expr: string;
  readonly exposition: string;
  readonly handler_params: object;
  readonly steps: readonly { readonly bag: string; readonly instances: readonly string[] }[];
}

export const outputSuites: readonly Suite[] = [{ file: "mixer/adapter_output_golden.json", run }];

async function run(path: string) {
  const verdicts = new Verdicts();
  const defaults = readJson<Defaults>(join(dirname(path), "default_config_eval.json"));
  const { cases } = readJson<{ readonly cases: readonly Vector[] }>(path);
  for (const [i, vector] of cases.entries()) {
    const name = `${vector.kind}#${i} ${vector.bag ?? ""}`;
    if (vector.kind === "prometheus") verdicts.judge(name, judgeExposition(vector, defaults));
    else if (vector.kind === "stdio_logentry") verdicts.judge(name, judgeLine(vector, defaults));
    else verdicts.skip(name, `cases of the kind ${vector.kind} are unknown`);
  }
  return verdicts.result();
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

function judgeExposition(vector: Vector, defaults: Defaults): string | undefined {
  const environment = adapterEnvironment();
  const handler = openLocal(prometheus, vector.handler_params, environment);
  for (const { bag, instances } of vector.steps) {
    const complaints = handler.report?.(
      instances.map((instance) => metricOf(defaults, bag, instance)),
    );
    if (complaints?.length !== 0) return complaints?.join(", ");
  }
  const got = environment.exposition.text().split("\n");
  for (const [i, line] of vector.exposition.split("\n").entries())
    if (got[i] !== line) return difference(got[i], line);
  return difference(got.length, vector.exposition.split("\n").length);
}

function judgeLine(vector: Vector, defaults: Defaults): string | undefined {
  const parameters = parametersOf(defaults, vector.instance);
  const bag = defaults.bags[vector.bag] ?? {};
  const timestamp = evaluate(parameters.timestamp ?? "", bag);
  const severity = evaluate(vector.severity_expr, bag);
  const instance: AnyInstance = {
    template: "logentry",
    name: `${vector.instance}.instance.istio-system`,
    ...(timestamp?.type === "TIMESTAMP" && { timestamp: timestamp.value }),
    ...(severity?.type === "STRING" && { severity: severity.value }),
    variables: evaluateAll(parameters.variables ?? {}, bag),
  };
  const got = captureLines((outputPath) => {
    const file = { logStream: "FILE", outputPath, outputAsJson: vector.output_as_json };
    const handler = openLocal(stdio, file);
    handler.report?.([instance]);
    handler.close();
  });
  return difference(got, vector.line);
}

function metricOf(defaults: Defaults, bagName: string, instance: string): AnyInstance {
  const { value = "", dimensions = {} } = parametersOf(defaults, instance);
  const bag = defaults.bags[bagName] ?? {};
  const counted = evaluate(value, bag);
  return {
    template: "metric",
    name: `${instance}.instance.istio-system`,
    ...(counted && { value: counted }),
    dimensions: evaluateAll(dimensions, bag),
  };
}

function parametersOf({ docs }: Defaults, instance: string): Parameters {
  const found = docs.find(
    ({ kind, metadata }) => kind === "instance" && metadata.name === instance,
  );
  return found?.spec.params ?? {};
}

type Bag = Readonly<Record<string, VectorValue>>;

function evaluateAll(expressions: Readonly<Record<string, string>>, bag: Bag): Dimensions {
  const values: Record<string, TypedValue> = {};
  for (const [name, expression] of Object.entries(expressions)) {
    const value = evaluate(expression, bag);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

/** Undefined: absent. */
function evaluate(expression: string, bag: Bag): TypedValue | undefined {
  const words = expression.match(/"[^"]*"|[\w.]+|==|\S/g) ?? [];
  let at = 0;
  const comparison = (): TypedValue | undefined => {
    const left = alternatives();
    if (words[at] !== "==") return left;
    at++;
    const right = alternatives();
    return { type: "BOOL", value: Bun.deepEquals(left, right) };
  };
  const alternatives = (): TypedValue | undefined => {
    let value = operand();
    while (words[at] === "|") {
      at++;
      const next = operand();
      value ??= next;
    }
    return value;
  };
  const operand = (): TypedValue | undefined => {
    const word = words[at++] ?? "";
    if (word === "(") {
      const value = comparison();
      at++;
      return value;
    }
    if (word.startsWith('"')) return { type: "STRING", value: word.slice(1, -1) };
    if (/^\d+$/.test(word)) return { type: "INT64", value: Number(word) };
    if (/^\d/.test(word)) return { type: "DOUBLE", value: Number(word) };
    if (word === "true" || word === "false") return { type: "BOOL", value: word === "true" };
    if (words[at] === "(") return call(word);
    const value = toTypedValue(bag[word]);
    return words[at] === "[" ? indexed(value) : value;
  };
  const indexed = (map: TypedValue | undefined): TypedValue | undefined => {
    at++;
    const key = comparison();
    at++;
    const value = map?.type === "STRING_MAP" ? map.value.get(String(key?.value)) : undefined;
    return value === undefined ? undefined : { type: "STRING", value };
  };
  const call = (name: string): TypedValue | undefined => {
    const values: (TypedValue | undefined)[] = [];
    while (words[at] !== ")" && at < words.length) {
      at++;
      values.push(comparison());
    }
    at++;
    if (name === "conditional") return values[0]?.value === true ? values[1] : values[2];
    const text = String(values[0]?.value);
    if (name === "ip") return toTypedValue({ type: "IP_ADDRESS", value: text });
    if (name === "timestamp") return toTypedValue({ type: "TIMESTAMP", value: text });
    throw new TypeError(`${expression}: ${name} is not known here`);
  };
  return comparison();
}
