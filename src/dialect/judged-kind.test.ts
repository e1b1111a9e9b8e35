/** Kinds that are judged and left out. */
import { expect, test } from "bun:test";
import { formatProblem, isError } from "../core/problem.ts";
import { readDocuments } from "./read.ts";

const groups: Readonly<Record<string, string>> = {
  Telemetry: "telemetry.istio.io",
  WasmPlugin: "extensions.istio.io",
  TrafficExtension: "extensions.istio.io",
};

function read(kind: string, spec: string, group = groups[kind] ?? "networking.istio.io") {
  const text = `apiVersion: ${group}/v1\nkind: ${kind}\nmetadata: { name: x }\nspec: ${spec}\n`;
  return readDocuments(text, { file: "r.yaml", namespace: "default" });
}

const lua = 'lua: { inlineCode: "function envoy_on_request() end" }';
const sha = "a".repeat(64);
const good: readonly (readonly [kind: string, spec: string])[] = [
  ["WorkloadGroup", "{ template: { serviceAccount: a }, probe: { httpGet: { port: 5 } } }"],
  ["WorkloadGroup", "{ template: {}, probe: { exec: { command: [a] } } }"],
  [
    "Telemetry",
    "{ tracing: [{ providers: [{ name: a }], customTags: { a: { literal: { value: b } } } }] }",
  ],
  ["Telemetry", "{ metrics: [{ overrides: [{ tagOverrides: { a: { operation: REMOVE } } }] }] }"],
  ["ProxyConfig", "{ selector: { matchLabels: { a: b } }, concurrency: 0 }"],
  [
    "EnvoyFilter",
    "{ configPatches: [{ applyTo: CLUSTER, match: { context: WAYPOINT, waypoint: {} } }] }",
  ],
  ["WasmPlugin", `{ url: oci://a.b/c, sha256: ${sha}, phase: AUTHN, pluginConfig: { a: b } }`],
  ["TrafficExtension", `{ ${lua}, match: [{ ports: [{ number: 80 }] }] }`],
];

test.each([...good])("%s %s is taken, and left out", (kind, spec) => {
  const { configs, problems } = read(kind, spec);
  expect(configs).toEqual([]);
  expect(problems.map(formatProblem)).toEqual([
    `r.yaml:1:1: warning: ${kind} is left out: it has no effect yet`,
  ]);
});

const env = (text: string) => `{ url: a, vmConfig: { env: [${text}] } }`;
const bad: readonly (readonly [kind: string, spec: string, reason: string])[] = [
  ["WorkloadGroup", "{}", "spec: must have a template"],
  ["WorkloadGroup", "{ template: {}, probe: {} }", "must have exactly one of httpGet"],
  ["WorkloadGroup", "{ template: {}, probe: { httpGet: {} } }", "must have a field port"],
  ["WorkloadGroup", '{ template: {}, metadata: { labels: { ".": "~" } } }', "labels"],
  ["WorkloadGroup", "{ templat: {} }", "unknown field (did you mean template?)"],
  ["Telemetry", "{ tracing: [{ randomSamplingPercentage: 101 }] }", "between 0 and 100"],
  ["Telemetry", "{ tracing: [{ customTags: { a: null } }] }", "customTags.a"],
  ["Telemetry", '{ metrics: [{ providers: [{ name: "" }] }] }', "must not be empty"],
  ["Telemetry", "{ metrics: [{ overrides: [{ tagOverrides: { a: {} } }] }] }", "to UPSERT"],
  ["Telemetry", "{ targetRef: { kind: Service }, selector: {} }", "must not stand beside"],
  ["ProxyConfig", '{ selector: { matchLabels: { "": b } } }', "has an empty key"],
  [
    "EnvoyFilter",
    "{ configPatches: [{ match: { context: WAYPOINT, listener: {} } }] }",
    "WAYPOINT",
  ],
  ["EnvoyFilter", "{ configPatches: [{ match: { waypoint: {} } }] }", "WAYPOINT"],
  ["WasmPlugin", "{}", "must have a url"],
  ["WasmPlugin", "{ url: ftp://a }", "is neither http, https, oci nor file"],
  ["WasmPlugin", "{ url: a, sha256: abc }", "is no SHA-256"],
  ["WasmPlugin", '{ url: a, imagePullSecret: "" }', "must have 1 to 253 characters"],
  ["WasmPlugin", env("{ name: a }, { name: a }"), '"a" is given twice'],
  ["WasmPlugin", env("{ name: a, valueFrom: HOST, value: b }"), "where it is the host's"],
  ["TrafficExtension", "{}", "must have exactly one of wasm and lua"],
  ["TrafficExtension", `{ ${lua}, wasm: { url: a } }`, "must have exactly one of wasm and lua"],
  ["TrafficExtension", `{ ${lua}, match: [{ ports: [{ number: 65536 }] }] }`, "65535"],
];

test.each([...bad])("%s %s is refused", (kind, spec, reason) => {
  const { problems } = read(kind, spec);
  expect(problems.filter(isError).map(formatProblem).join("\n")).toContain(reason);
  expect(problems.map(({ message }) => message).join("\n")).not.toContain("left out");
});

test("in the wrong group they are told where they belong", () => {
  expect(read("Telemetry", "{}", "networking.istio.io").problems.map(formatProblem)).toEqual([
    "r.yaml:1:13: apiVersion: Telemetry is not part of networking.istio.io/v1 " +
      "(write telemetry.istio.io/v1)",
  ]);
});
