/** What an operator is told about a mistake: where, what, and what to write instead. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../core/problem.ts";
import { readDocuments } from "./read.ts";

function complaints(text: string): readonly string[] {
  return readDocuments(text, { file: "r.yaml", namespace: "default" }).problems.map(formatProblem);
}

const rule = (spec: string): string =>
  `apiVersion: config.istio.io/v1alpha2\nkind: RouteRule\nmetadata: { name: x }\nspec:\n${spec}`;

const cases: readonly (readonly [title: string, text: string, told: readonly string[]])[] = [
  [
    "a misspelt field",
    rule("  destination: { name: a }\n  precedense: 1\n"),
    ["r.yaml:6:3: spec.precedense: unknown field (did you mean precedence?)"],
  ],
  [
    "a misspelt field with underscores is corrected with underscores",
    "type: route-rule\nname: a\nspec:\n  destination: a.b\n  http_req_timout: {}\n",
    ["r.yaml:5:3: spec.http_req_timout: unknown field (did you mean http_req_timeout?)"],
  ],
  [
    "a misspelt kind",
    rule("  destination: { name: a }\n").replace("RouteRule", "RoutRule"),
    ["r.yaml:2:7: kind: unknown kind RoutRule (did you mean RouteRule?)"],
  ],
  [
    "a misspelt type",
    "type: routerule\nname: a\nspec: { destination: a.b }\n",
    ["r.yaml:1:7: type: unknown type routerule (did you mean route-rule?)"],
  ],
  [
    "a kind of a later release",
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: x }\nspec: {}\n",
    ["r.yaml:2:7: kind: kind VirtualService is not supported yet"],
  ],
  [
    "a kind in the wrong group",
    rule("  destination: { name: a }\n").replace(
      "config.istio.io/v1alpha2",
      "networking.istio.io/v1",
    ),
    [
      "r.yaml:1:13: apiVersion: RouteRule is not part of networking.istio.io/v1 " +
        "(write config.istio.io/v1alpha2)",
    ],
  ],
  [
    "an apiVersion that is missing, which the kind tells",
    rule("  destination: { name: a }\n").replace(/^apiVersion.*\n/, ""),
    ["r.yaml:1:1: warning: apiVersion: is missing: config.istio.io/v1alpha2 is meant"],
  ],
  [
    "all that is wrong in one rule, in the order of the text",
    rule(`  destination: { name: "a b" }
  route:
  - labels: { version: 1 }
    weight: 101
  - labels: { version: v2 }
    weight: ten
  httpReqTimeout: { simpleTimeout: { timeout: 5 } }
  httpFault: { abort: { httpStatus: 601, percent: 50 } }
`),
    [
      'r.yaml:5:24: spec.destination.name: "a b" must be of letters, digits and inner dashes',
      'r.yaml:7:24: spec.route[0].labels.version: must be a text, not the number 1 (write "1")',
      "r.yaml:8:13: spec.route[0].weight: must be between 0 and 100, not 101",
      'r.yaml:10:13: spec.route[1].weight: must be a number, not "ten"',
      "r.yaml:11:47: spec.httpReqTimeout.simpleTimeout.timeout: " +
        'must be a duration such as "2.5s", not 5 (write "5s")',
      "r.yaml:12:37: spec.httpFault.abort.httpStatus: must be between 0 and 600, not 601",
    ],
  ],
  [
    "weights that do not add up",
    rule("  destination: { name: a }\n  route:\n  - weight: 50\n  - weight: 49\n"),
    ["r.yaml:7:3: spec.route: the weights must sum to 100, not 99"],
  ],
  [
    "a redirect beside a route",
    rule("  destination: { name: a }\n  redirect: { uri: /x }\n  route: [{ weight: 100 }]\n"),
    ["r.yaml:7:10: spec.route: must not stand beside a redirect"],
  ],
  [
    "a look-ahead, which no linear-time engine has",
    rule("  destination: { name: a }\n  match: { httpHeaders: { uri: { regex: '(?!x)' } } }\n"),
    [
      "r.yaml:6:41: spec.match.httpHeaders.uri.regex: is not a regular expression in RE2 " +
        "syntax: error parsing regexp: invalid or unsupported Perl syntax: `(?!` " +
        "(look-around is not part of RE2: split the rule)",
    ],
  ],
  [
    "a fault that hits nobody",
    rule("  destination: { name: a }\n  httpFault: { delay: { fixedDelay: 5s } }\n"),
    [
      "r.yaml:6:23: warning: spec.httpFault.delay: without a percent above 0 it hits no request " +
        "(write percent: 100)",
    ],
  ],
  [
    "a field written twice, in two spellings",
    rule("  destination: { name: a }\n  websocketUpgrade: true\n  websocket_upgrade: true\n"),
    [
      "r.yaml:7:3: spec.websocket_upgrade: " +
        "is given twice: it is another spelling of websocketUpgrade",
    ],
  ],
  [
    "a key written twice",
    "type: route-rule\nname: a\nname: b\nspec: { destination: a.b }\n",
    ["r.yaml:3:1: name: is given twice"],
  ],
  [
    "a list where a map belongs, and the reverse",
    rule("  destination:\n  - name: a\n  route: { weight: 100 }\n"),
    [
      "r.yaml:6:3: spec.destination: must be a map of fields (remove the dash)",
      "r.yaml:7:10: spec.route: must be a list (put a dash before the first field)",
    ],
  ],
  [
    "yes for true",
    rule("  destination: { name: a }\n  websocketUpgrade: yes\n"),
    ['r.yaml:6:21: spec.websocketUpgrade: must be true or false, not "yes" (write true)'],
  ],
  [
    "a bare rule whose destination is misspelt",
    "destinaton: a.b\nprecedence: 1\n",
    [
      "r.yaml:1:1: is not a rule: it has neither kind, nor type, nor destination " +
        "(did you mean destination?)",
    ],
  ],
  [
    "an alias that stands for nothing",
    rule("  destination: { name: a }\n  precedence: *nowhere\n"),
    ["r.yaml:6:15: spec.precedence: nothing before it is called &nowhere"],
  ],
  [
    "a namespace with a dot",
    rule("  destination: { name: a }\n").replace("name: x", "name: x.y, namespace: a.b"),
    [
      'r.yaml:3:35: metadata.namespace: "a.b" must be of lower-case letters, ' +
        "digits and inner dashes",
    ],
  ],
  [
    "a document that is no rule",
    "hello: world\n",
    ["r.yaml:1:1: is not a rule: it has neither kind, nor type, nor destination"],
  ],
];

describe("an operator is told of", () => {
  test.each(cases)("%s", (_, text, told) => {
    expect(complaints(text)).toEqual([...told]);
  });
});

test("every problem carries the line that it is about", () => {
  const text = rule("  destination: { name: a }\n  precedense: 1\n");
  const [problem] = readDocuments(text, { file: "r.yaml", namespace: "default" }).problems;
  expect(problem?.excerpt).toBe("  precedense: 1");
});

describe("what is meant to hurt", () => {
  /** In milliseconds, the best of five: the machine may be busy. */
  const shortly = (run: () => void): number => {
    const tries = Array.from({ length: 5 }, () => {
      const start = performance.now();
      run();
      return performance.now() - start;
    });
    return Math.min(...tries);
  };

  test("a bomb of aliases is refused", () => {
    const bomb = ["a: &a { k: v }"];
    for (let i = 0; i < 30; i++)
      bomb.push(`b${i}: &b${i} { ${"<<: *a".replace("a", i === 0 ? "a" : `b${i - 1}`)} }`);
    const uses = Array.from({ length: 200 }, () => "  - { labels: *l }").join("\n");
    const text = rule(`  destination: { name: a, labels: &l { x: y } }\n  route:\n${uses}\n`);
    expect(complaints(text).join("\n")).toContain("more than 100 aliases in one document");
    expect(shortly(() => complaints(`${bomb.join("\n")}\ndestination: *a\n`))).toBeLessThan(500);
  });

  test("a text that nests without end is refused", () => {
    const told = complaints(`destination: ${"[".repeat(20_000)}`);
    expect(told[0]).toEndWith("cannot be read: it nests too deeply");
  });

  test("a text that is too large is refused unread", () => {
    expect(complaints(`# ${"x".repeat(17 * 1024 * 1024)}`)).toEqual([
      "r.yaml:1:1: is larger than 16 MiB",
    ]);
  });
});
