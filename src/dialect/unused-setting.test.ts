/** Settings that have no effect here are judged all the same. */
import { expect, test } from "bun:test";
import { readDocuments } from "./read.ts";

const proxy = (text: string): string => `defaultConfig: { ${text} }`;
const good: string[] = [
  proxy("tracing: { zipkin: { address: zipkin.istio-system:9411 }, sampling: 50 }"),
  proxy('tracing: { datadog: { address: "$(HOST_IP):8126" } }'),
  proxy("tracing: { lightstep: { address: a:1, accessToken: b } }"),
  proxy("tracing: { customTags: { a: { literal: { value: b } }, c: { header: { name: d } } } }"),
  proxy("envoyAccessLogService: { address: a:1 }, envoyMetricsService: {}"),
  proxy("privateKeyProvider: { qat: { pollDelay: 0.000001s } }"),
  "protocolDetectionTimeout: 0s",
  "defaultTrafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } }",
  'serviceSettings: [{ settings: { clusterLocal: true }, hosts: ["*.a", b.c] }]',
];
const retry = (text: string): string => `defaultHttpRetryPolicy: { ${text} }`;
good.push(
  retry("attempts: 3, perTryTimeout: 2s, retryOn: '5xx,503', backoff: 25ms"),
  retry("attempts: 0"),
);

const bad: readonly (readonly [text: string, told: string])[] = [
  [proxy("statusPort: 0"), "statusPort: must be between 1 and 65535"],
  [proxy("tracing: { zipkin: {} }"), "tracing.zipkin: must have a field address"],
  [proxy("tracing: { zipkin: { address: 10.0.0.1 } }"), "zipkin.address: "],
  [proxy("tracing: { lightstep: { address: a:1 } }"), "must have a field accessToken"],
  [proxy('tracing: { lightstep: { address: a:1, accessToken: "" } }'), "must not be empty"],
  [proxy("tracing: { sampling: 101 }"), "tracing.sampling: "],
  [proxy("tracing: { customTags: { a: {} } }"), "customTags.a: must have exactly one of literal"],
  [proxy('tracing: { customTags: { a: { literal: { value: "" } } } }'), "literal.value: "],
  [proxy("tracing: { customTags: { a: { environment: {} } } }"), "must have a field name"],
  [proxy("envoyAccessLogService: { address: a }"), "envoyAccessLogService.address: "],
  [proxy("privateKeyProvider: {}"), "must have exactly one of cryptomb, qat"],
  [proxy("privateKeyProvider: { qat: {} }"), "must have a field pollDelay"],
  [proxy("privateKeyProvider: { cryptomb: { pollDelay: 0s } }"), "must be more than 0s"],
  [retry("attempts: -1"), "attempts: must be at least 0"],
  [retry("attempts: 1, retryOn: '5xx,600'"), '"600" is neither a condition nor a status'],
  [retry("attempts: 1, perTryTimeout: 999ns"), "perTryTimeout: must be at least 1ms"],
  [retry("attempts: 0, backoff: 1s"), "backoff: must not be given where attempts are 0"],
  [retry("retryOn: 5xx"), "retryOn: must not be given where attempts are 0"],
  ["protocolDetectionTimeout: 0.000001s", "protocolDetectionTimeout: must be at least 1ms"],
  ["defaultTrafficPolicy: { connectionPool: {} }", "must have tcp or http"],
  ['serviceSettings: [{ hosts: ["a.*"] }]', "serviceSettings[0].hosts[0]: "],
];

function told(text: string): readonly string[] {
  const document = `kind: MeshConfig\n${text}\n`;
  const { problems } = readDocuments(document, { file: "m.yaml", namespace: "default" });
  return problems.map(({ severity, path, message }) => `${severity} ${path}: ${message}`);
}

test.each(good)("%s is fine, and has no effect", (text) => {
  const lines = told(text);
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) expect(line).toMatch(/^warning .*: (is not obeyed|has no effect)/);
});

test.each([...bad])("%s is refused", (text, reason) => {
  const errors = told(text).filter((line) => line.startsWith("error"));
  expect(errors.join("\n")).toContain(reason);
});
