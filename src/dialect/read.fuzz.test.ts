/** Whatever is written, reading ends, never throws, and points into the text. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { declaredPolicy } from "./policy/policy-set.ts";
import { readDocuments } from "./read.ts";
import { validateSet } from "./validate-set.ts";

const seeds: readonly string[] = [
  `type: route-rule
name: reviews
spec:
  destination: reviews.default.svc.cluster.local
  match: { source: a.b, httpHeaders: { uri: { prefix: / } } }
  route:
  - tags: { version: v1 }
    weight: 100
  http_req_timeout: { simple_timeout: { timeout: 10s } }
`,
  `apiVersion: config.istio.io/v1alpha2
kind: DestinationPolicy
metadata: { name: x }
spec:
  destination: { name: reviews, labels: &l { version: v1 } }
  source: { name: a, labels: *l }
  circuitBreaker: { simpleCb: { sleepWindow: 15.5s } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: x }
spec:
  hosts: [a.example.com]
  ports: [{ number: 80, name: http }]
  resolution: DNS
  endpoints:
  - address: 1.2.3.4
`,
  `apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: x }
spec:
  match: request.path == "/a"
  rateLimit: 100/10m rolling by source.user, request.headers["a"] at redis://a:1
  actions:
  - handler: { compiledAdapter: a, params: &p { b: [1, true, c] } }
    instances: [d.e, { template: quota, params: { dimensions: { f: "1" } } }]
  requestHeaderOperations: [{ name: g, values: ['"h"'], operation: APPEND }]
---
apiVersion: config.istio.io/v1alpha2
kind: listentry
metadata: { name: x }
spec:
  value: |
    source.ip
`,
  `subject: a.b
rules:
- selector: target.service == "x*"
  aspects:
  - { kind: quotas, params: { quotas: [{ descriptor_name: q, max_amount: 5, labels: { a: b } }] } }
  rules: [{ aspects: [{ kind: denials }] }]
---
adapters: [{ name: a, kind: lists, impl: b, params: { c: false } }]
metrics: [{ name: m, kind: 1, value: 2, labels: { a: 1 } }]
`,
  `kind: MeshConfig
connectTimeout: 1s
outboundTrafficPolicy: { mode: ALLOW_ANY }
`,
];

const pieces = [
  ..."{}[]:,-&*!|>'\"#%@`?~ \n\t\r\0",
  "<<: *l",
  "---\n",
  "...\n",
  "&a ",
  "*a",
  "!!binary ",
  "null",
  "true",
  "-1",
  "1e999",
  "é",
  "\u2028",
  "😀",
  "spec:",
  "destination:",
  "items:",
  "kind: List\n",
  "__proto__: 1\n",
  "constructor: {}\n",
  "0x10",
  ".nan",
] as const;

interface Edit {
  readonly at: number;
  readonly cut: number;
  readonly piece: string;
}

function edited(text: string, edits: readonly Edit[]): string {
  let result = text;
  for (const { at, cut, piece } of edits) {
    const offset = Math.floor(at * result.length);
    result = result.slice(0, offset) + piece + result.slice(offset + cut);
  }
  return result;
}

test("mutations of good rules", () => {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
    cut: fc.nat(12),
    piece: fc.oneof(fc.constantFrom(...pieces), fc.constant("")),
  });
  fc.assert(
    fc.property(fc.constantFrom(...seeds), fc.array(edit, { maxLength: 6 }), (seed, edits) => {
      const text = edited(seed, edits);
      const lines = text.split("\n");
      const { configs, problems } = readDocuments(text, { file: "f", namespace: "default" });
      validateSet(configs, {});
      declaredPolicy(configs);
      for (const { position } of [
        ...problems,
        ...configs.map(({ origin }) => ({ position: origin })),
      ]) {
        const line = lines[position.line - 1];
        expect(line).toBeDefined();
        expect(position.column).toBeGreaterThan(0);
        expect(position.column).toBeLessThanOrEqual(line!.length + 1);
      }
    }),
    { numRuns: 250 },
  );
});
