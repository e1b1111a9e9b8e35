/** Policy below rules/ means something: it resolves without a problem, whatever its form. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { policySetOf } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { resolvePolicy } from "../policy/resolve.ts";
import { templates } from "../policy/template.ts";
import { adapters } from "./inventory.ts";

const rules = join(import.meta.dir, "..", "..", "rules");
const files = readdirSync(rules, { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".yaml"),
);
const set = policySetOf(
  files.flatMap((file) => {
    const text = readFileSync(join(rules, file), "utf8");
    return readDocuments(text, { file, namespace: "default" }).configs;
  }),
);

test("there are rules", () => {
  expect(set.rules.length).toBeGreaterThan(8);
});

test("names lead to something, expressions compile, and adapters take their parameters", () => {
  const { policy, problems } = resolvePolicy(
    set,
    { adapters, templates },
    { rootNamespace: policyRootNamespace },
  );
  expect(problems).toEqual([]);
  expect(policy.rules.length).toBe(set.rules.length);
});

test("metrics have the names that dashboards look for", () => {
  const { json } = set.handlers.find(({ name }) => name === "prometheus")!.spec.parameters;
  const { metrics } = JSON.parse(json) as { metrics: readonly { name: string }[] };
  expect(metrics.map(({ name }) => `istio_${name}`)).toEqual([
    "istio_requests_total",
    "istio_request_duration_seconds",
    "istio_request_bytes",
    "istio_response_bytes",
    "istio_tcp_sent_bytes_total",
    "istio_tcp_received_bytes_total",
    "istio_tcp_connections_opened_total",
    "istio_tcp_connections_closed_total",
  ]);
});
