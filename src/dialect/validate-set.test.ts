/** What only shows when rules are seen together. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../core/problem.ts";
import { readDocuments } from "./read.ts";
import { validateSet } from "./validate-set.ts";

function together(text: string, hosts?: readonly string[]): readonly string[] {
  const { configs } = readDocuments(text, { file: "r.yaml", namespace: "default" });
  const known = hosts === undefined ? {} : { hosts: new Set(hosts) };
  return validateSet(configs, known).map(formatProblem);
}

const rule = (name: string, rest: string, destination = "a.b"): string =>
  `type: route-rule\nname: ${name}\nspec: { destination: ${destination}, ${rest} }\n---\n`;

const policy = (rest: string): string =>
  `type: destination-policy\nname: p\nspec: { destination: a.b, ${rest} }\n---\n`;

const egress = (name: string, service: string, port: number, protocol: string): string =>
  `apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: ${name} }
spec: { destination: { service: ${service} }, ports: [{ port: ${port}, protocol: ${protocol} }] }
---
`;

describe("names", () => {
  test("may be used once for each kind", () => {
    expect(together(rule("x", "") + rule("x", "precedence: 2"))).toEqual([
      "r.yaml:5:1: metadata.name: RouteRule/default/x is also at r.yaml:1",
    ]);
    expect(together(rule("p", "") + policy(""))).toEqual([]);
  });
});

describe("rules that no request can reach", () => {
  const shadowed = "is never reached: RouteRule/default/all";
  const cases: readonly (readonly [title: string, low: string, high: string, told: boolean])[] = [
    ["behind one without conditions", "precedence: 1", "precedence: 2", true],
    [
      "behind the prefix /",
      "",
      "precedence: 2, match: { httpHeaders: { uri: { prefix: / } } }",
      true,
    ],
    ["behind .*", "", "precedence: 2, match: { httpHeaders: { uri: { regex: '.*' } } }", true],
    ["before it", "precedence: 3", "precedence: 2", false],
    ["behind a condition", "", "precedence: 2, match: { httpHeaders: { a: { exact: b } } }", false],
    ["behind one for another caller", "", "precedence: 2, match: { source: c.d }", false],
    [
      "behind one for the same caller",
      "match: { source: c.d, sourceTags: { version: v1 } }",
      "precedence: 2, match: { source: c.d }",
      true,
    ],
    [
      "behind a shorter prefix",
      "match: { httpHeaders: { uri: { exact: /a/b }, x: { exact: y } } }",
      "precedence: 2, match: { httpHeaders: { uri: { prefix: /a } } }",
      true,
    ],
    [
      "behind a prefix that its regex only begins with",
      "match: { httpHeaders: { uri: { regex: /a|/b } } }",
      "precedence: 2, match: { httpHeaders: { uri: { prefix: /a } } }",
      false,
    ],
    [
      "beside another prefix",
      "match: { httpHeaders: { uri: { prefix: / } } }",
      "precedence: 2, match: { httpHeaders: { uri: { prefix: /a } } }",
      false,
    ],
    [
      "behind the same header",
      "match: { httpHeaders: { x: { regex: a+ }, y: { exact: b } } }",
      "precedence: 2, match: { httpHeaders: { x: { regex: a+ } } }",
      true,
    ],
    [
      "beside another header",
      "match: { httpHeaders: { x: { exact: a } } }",
      "precedence: 2, match: { httpHeaders: { y: { exact: a } } }",
      false,
    ],
    [
      "behind conditions that only connections meet",
      "",
      "precedence: 2, match: { tcp: { sourceSubnet: [10.0.0.0/8] } }",
      false,
    ],
  ];
  test.each(cases)("%s", (_, low, high, told) => {
    const problems = together(rule("low", low) + rule("all", high));
    expect(problems.some((problem) => problem.includes(shadowed))).toBe(told);
  });

  test("with equal precedence the name decides", () => {
    const [told] = together(rule("b", "") + rule("a", ""));
    expect(told).toStartWith(
      "r.yaml:1:1: warning: spec.precedence: is never reached: RouteRule/default/a",
    );
  });
});

describe("destinations that nobody knows", () => {
  test("are told with the full name of a short one", () => {
    expect(together(rule("x", "", "reviews"), ["reviews.default.svc.cluster.local"])).toEqual([
      "r.yaml:3:22: warning: spec.destination: no service reviews is known " +
        "(did you mean reviews.default.svc.cluster.local?)",
    ]);
  });

  test("are known if an entry, an egress rule or a registry names them", () => {
    const rules = rule("x", "", "www.a.com") + egress("e", "'*.a.com'", 80, "http");
    expect(together(rules, [])).toEqual([]);
  });

  test("are not judged where nobody can know", () => {
    expect(together(rule("x", "", "reviews"))).toEqual([]);
  });
});

describe("policies on labels", () => {
  test("act only where a rule names those labels", () => {
    const tagged = policy("policy: [{ tags: { version: v1 }, loadBalancing: { name: RANDOM } }]");
    expect(together(tagged)).toEqual([
      "r.yaml:3:35: warning: spec.policy[0]: " +
        "has no effect: no route rule names version=v1 of a.b",
    ]);
    expect(together(tagged + rule("x", "route: [{ tags: { version: v1 } }]"))).toEqual([]);
  });
});

describe("egress rules for one domain", () => {
  test("the first by name acts", () => {
    expect(together(egress("b", "a.com", 80, "http") + egress("a", "a.com", 81, "http"))).toEqual([
      "r.yaml:4:22: warning: spec.destination.service: is left out: " +
        "EgressRule/default/a (r.yaml:6) already claims a.com",
    ]);
  });

  test("for blocks of addresses each port is one", () => {
    const block = (name: string, port: number) => egress(name, "10.0.0.0/8", port, "tcp");
    expect(together(block("a", 1) + block("b", 2))).toEqual([]);
    expect(together(block("a", 1) + block("b", 1))).toHaveLength(1);
  });
});
