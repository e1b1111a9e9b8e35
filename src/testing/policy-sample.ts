/** A few adapters, attributes, a handler and an instance that tests of policy build upon. */
import { formatProblem, isError } from "../core/problem.ts";
import { declaredPolicy } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import { message } from "../dialect/schema/message.ts";
import { integer, text } from "../dialect/schema/scalar.ts";
import type { Config } from "../model/config.ts";
import type { PolicySet } from "../model/policy-set.ts";
import { localAdapter, remoteAdapter } from "../policy/adapter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type PolicyInventory, type Resolved, resolvePolicy } from "../policy/resolve.ts";
import { templates } from "../policy/template.ts";

const status = message({ code: integer({ least: 0, most: 16 }), message: text });
const parameters = message({ status, validUseCount: integer({ least: 0, most: 100 }) });
const closing = { close: () => undefined };

export const sampleInventory: PolicyInventory = {
  templates: {
    ...templates,
    token: { variety: "check", fields: {}, output: { user: "STRING", age: "INT64" } },
  },
  adapters: [
    localAdapter({
      name: "denier",
      aliases: ["refuse"],
      // A template of these tests.
      templates: ["checknothing", "listentry", "authorization", "token" as "listentry"],
      read: (place) => parameters(orEmpty(place)),
      open: () => closing,
    }),
    localAdapter({
      name: "limits",
      templates: ["quota", "checknothing", "metric"],
      read: (place, bound) => {
        for (const { name, template, dimensions } of bound)
          if (template === "quota" && dimensions?.includes("forbidden"))
            place.error(`${name} has a dimension that is forbidden`);
        return {};
      },
      open: () => closing,
    }),
    localAdapter({
      name: "pods",
      templates: ["kubernetes", "logentry", "tracespan"],
      read: () => ({}),
      open: () => closing,
    }),
    remoteAdapter({
      name: "shared",
      templates: ["checknothing", "quota", "metric"],
      read: () => ({}),
      open: () => closing,
    }),
  ],
};

const base = `kind: attributemanifest
metadata: { name: standard, namespace: istio-system }
spec:
  attributes:
    source.name: { valueType: STRING }
    source.ip: { valueType: IP_ADDRESS }
    source.labels: { valueType: STRING_MAP }
    request.path: { valueType: STRING }
    request.time: { valueType: TIMESTAMP }
    request.headers: { valueType: STRING_MAP }
    response.code: { valueType: INT64 }
    response.duration: { valueType: DURATION }
---
kind: handler
metadata: { name: deny }
spec: { compiledAdapter: denier }
---
kind: instance
metadata: { name: nothing }
spec: { compiledTemplate: checknothing }
`;

/** Documents, and what is always there: the handler `deny` and the instance `nothing`. */
export function readSample(documents: string, file = "policy.yaml"): PolicySet {
  return declaredPolicy([...read(base, "base.yaml"), ...read(documents, file)]);
}

export function resolveSample(documents: string, file?: string): Resolved {
  return resolveSet(readSample(documents, file));
}

export function resolveSet(set: PolicySet): Resolved {
  return resolvePolicy(set, sampleInventory, { rootNamespace: "istio-system" });
}

/** Documents without an apiVersion are fine here. */
function read(text: string, file: string): readonly Config[] {
  const { configs, problems } = readDocuments(text, { file, namespace: "default" });
  const errors = problems.filter(isError).map(formatProblem);
  if (errors.length > 0) throw new Error(errors.join("\n"));
  return configs;
}
