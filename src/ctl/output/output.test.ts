/** What an operator sees: aligned, plain off a terminal, never what a peer wants it to be. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Problem } from "../../core/problem.ts";
import { harmless, type Paint } from "../terminal.ts";
import { clusterText, routesTable, tcpRoutesTable } from "./config-table.ts";
import { joinDocuments } from "./document.ts";
import { policyTables } from "./policy-table.ts";
import { problemCount, renderProblems, withExcerpts } from "./problem-text.ts";
import { summarize } from "./rule-summary.ts";
import { ageText, labelsText, renderTable } from "./table.ts";
import { unifiedDiff } from "./unified-diff.ts";

const plain = (text: string): string => text;
const paint: Paint = {
  bold: plain,
  dim: plain,
  red: plain,
  green: plain,
  yellow: plain,
  cyan: plain,
};

test("columns are aligned by display width", () => {
  const rows = [
    ["reviews", "✓", "x"],
    ["書評", "\u001b[32mok\u001b[39m", "y"],
  ];
  expect(Bun.stripANSI(renderTable(["NAME", "OK", "Z"], rows, paint))).toBe(
    "NAME     OK  Z\nreviews  ✓   x\n書評     ok  y\n",
  );
});

test("names from the network cannot act on the terminal", () => {
  expect(harmless("a\u001b[2Jb\u0007\u009b1m\r")).toBe("a\\x1b[2Jb\\x07\\x9b1m\\x0d");
  expect(harmless("\u001b[31mred\u001b[39m\n\t")).toBe("\u001b[31mred\u001b[39m\n\t");
  expect(renderTable(["N"], [["a\nb\u001b[H"]], paint)).toBe("N\na b\\x1b[H\n");
});

test("a caret stands below the word, behind tabs and wide characters too", () => {
  const at = (line: number, column: number, excerpt: string): Problem => ({
    severity: "error",
    position: { file: "a.yaml", line, column },
    path: "spec",
    message: "no",
    excerpt,
  });
  expect(renderProblems([at(12, 3, "\t\tfoo: 1")], paint)).toBe(
    "a.yaml:12:3: error: spec: no\n  12 | \t\tfoo: 1\n     | \t\t^~~\n",
  );
  expect(renderProblems([at(1, 7, '日本: "x y"')], paint)).toContain('  1 | 日本: "x y"\n');
  expect(renderProblems([at(1, 5, '日本: "x y"')], paint)).toContain("    |       ^~~~~\n");
  expect(renderProblems([at(0, 0, "")], paint)).toBe("a.yaml: error: spec: no\n");
});

test("a missing line is taken from the file at hand", () => {
  const problem: Problem = {
    severity: "warning",
    position: { file: "a.yaml", line: 2, column: 1 },
    path: "",
    message: "hm",
  };
  const [found] = withExcerpts([problem], [{ file: "a.yaml", text: "one\ntwo\n" }]);
  expect(found?.excerpt).toBe("two");
  expect(withExcerpts([problem], [])).toEqual([problem]);
  expect(problemCount([problem])).toBe("1 warning");
  expect(problemCount([])).toBe("no problems");
});

test("ages and labels", () => {
  const ages = [0, 5_000, 200_000, 3 * 3_600_000, 5 * 86_400_000];
  expect(ages.map((age) => ageText(1, 1 + age))).toEqual(["0s", "5s", "3m", "3h", "5d"]);
  expect(ageText(0, 10)).toBe("-");
  expect(labelsText({ b: "2", a: "1" })).toBe("a=1,b=2");
  expect(labelsText({})).toBe("-");
});

const summaries: readonly (readonly [
  kind: string,
  spec: unknown,
  destination: string,
  action: string,
])[] = [
  [
    "RouteRule",
    {
      destination: { service: "reviews.default.svc.cluster.local" },
      match: { request: { headers: { "end-user": { exact: "ada" } } } },
      route: [{ labels: { version: "v2" } }],
      httpFault: { delay: { fixedDelay: "2s", percent: 100 } },
    },
    "reviews.default",
    "end-user=ada → v2 + delay 2s",
  ],
  [
    "RouteRule",
    { destination: { name: "a" }, redirect: { uri: "/b", authority: "c" } },
    "a",
    "redirect c/b",
  ],
  ["RouteRule", {}, "", "default"],
  [
    "DestinationPolicy",
    { destination: { name: "a", labels: { version: "v1" } }, loadBalancing: { name: "RANDOM" } },
    "a[v1]",
    "RANDOM",
  ],
  ["EgressRule", { ports: [{ port: 80, protocol: "http" }] }, "", "80/http"],
  ["ServiceEntry", { hosts: ["a", "b"] }, "a,b", ""],
  [
    "rule",
    {
      match: 'a ==\n "b"',
      actions: [{ handler: "h.denier", instances: ["i", "j"] }],
      responseHeaderOperations: [{ name: "server", operation: "REMOVE" }],
    },
    "",
    'a == "b" → h.denier ← i, j + header server',
  ],
  [
    "rule",
    {
      actions: [
        {
          handler: {
            compiledAdapter: "memquota",
            params: { quotas: [{ maxAmount: 10, validDuration: "1s" }] },
          },
          instances: [{ compiledTemplate: "quota", params: { dimensions: { "source.user": "" } } }],
        },
        { handler: { compiledAdapter: "stdio" }, instances: [{ compiledTemplate: "logentry" }] },
      ],
    },
    "",
    "limit 10/1s by source.user + stdio ← logentry",
  ],
  ["handler", { compiledAdapter: "denier", params: { status: {} } }, "", "denier status"],
  ["instance", { compiledTemplate: "checknothing" }, "", "checknothing"],
  ["denier", { status: {}, validDuration: "1s" }, "", "status, validDuration"],
  ["listentry", { value: "source.ip" }, "", "value"],
  ["attributemanifest", { attributes: { a: {}, b: {} } }, "", "2 attributes"],
  [
    "QuotaSpec",
    { rules: [{ quotas: [{ quota: "q", charge: 1 }] }, { match: [], quotas: [{ quota: "p" }] }] },
    "",
    "q 1; some → p ",
  ],
  [
    "QuotaSpecBinding",
    {
      services: [{ service: "web.shop.svc.cluster.local" }, { service: "*" }],
      quotaSpecs: [{ name: "q", namespace: "shop" }],
    },
    "web.shop,*",
    "shop/q",
  ],
  [
    "ServiceConfig",
    {
      subject: "web.shop.svc.cluster.local",
      rules: [{ aspects: [{ kind: "lists" }], rules: [{ aspects: [{ kind: "denials" }] }] }],
    },
    "web.shop",
    "lists, denials",
  ],
  ["GlobalConfig", { adapters: [{}, {}], metrics: [{}] }, "", "2 adapters, 1 metrics"],
  ["HTTPAPISpec", { patterns: [{}], apiKeys: [] }, "", "1 operations, 0 places of keys"],
  ["Unknown", null, "", ""],
  ["constructor", {}, "", ""],
];

test.each(summaries)("%s %j in a few words", (kind, spec, destination, action) => {
  expect(summarize(kind, spec)).toEqual({ destination, action });
});

test("routes are shown by host, in order of evaluation, with their origin", () => {
  const config = create(ProxyConfigSchema, {
    virtualHosts: [
      {
        name: "reviews.default.svc.cluster.local:9080",
        routes: [
          {
            name: "canary",
            origin: { file: "a.yaml", line: 3 },
            match: {
              path: { kind: { case: "prefix", value: "/api" } },
              headers: [{ name: "x", value: { kind: { case: "regex", value: "a|b" } } }],
            },
            action: {
              case: "forward",
              value: {
                clusters: [
                  {
                    cluster: "outbound|9080|version=v1|reviews.default.svc.cluster.local",
                    weight: 90,
                  },
                  {
                    cluster: "outbound|9080|version=v3|reviews.default.svc.cluster.local",
                    weight: 10,
                  },
                ],
              },
            },
            timeoutMs: 15_000,
          },
          { name: "gone", action: { case: "direct", value: { status: 404 } } },
        ],
      },
      {
        name: "a.default.svc.cluster.local",
        routes: [{ action: { case: "redirect", value: {} } }],
      },
    ],
  });
  const { rows } = routesTable(config, false);
  expect(rows.map(([host, at]) => [host, at])).toEqual([
    ["a.default", "1"],
    ["reviews.default:9080", "1"],
    ["", "2"],
  ]);
  expect(rows[1]?.slice(2)).toEqual([
    "path=/api* and x~a|b",
    "reviews.default:9080[version=v1] 90% | reviews.default:9080[version=v3] 10%, timeout 15 s",
    "canary",
    "a.yaml:3",
  ]);
  expect(rows[2]?.slice(2)).toEqual(["everything", "answer 404", "gone", "-"]);
  expect(clusterText("own")).toBe("own");
});

test("routes of connections say what they match, and are no table where there are none", () => {
  expect(tcpRoutesTable(create(ProxyConfigSchema, {}))).toBeUndefined();
  const clusters = [
    { cluster: "outbound|3306|version=v1|mysql.default.svc.cluster.local", weight: 90 },
    { cluster: "outbound|3306|version=v2|mysql.default.svc.cluster.local", weight: 10 },
  ];
  const config = create(ProxyConfigSchema, {
    tcpDestinations: [
      {
        name: "mysql.default.svc.cluster.local:3306",
        port: 3_306,
        addresses: ["10.0.0.9"],
        routes: [
          { name: "default/canary", clusters, sourceSubnets: ["10.1.0.0/16"] },
          { name: "default-route", clusters: clusters.slice(0, 1) },
        ],
      },
      {
        name: "api.example:443",
        port: 443,
        serverNames: ["api.example"],
        routes: [{ name: "default-route", clusters: [{ cluster: "own" }] }],
      },
    ],
  });
  const v1 = "mysql.default:3306[version=v1]";
  const v2 = "mysql.default:3306[version=v2]";
  expect(tcpRoutesTable(config)?.rows).toEqual([
    ["api.example:443", "1", "port 443 and TLS for api.example", "own", "default-route", "-"],
    [
      "mysql.default:3306",
      "1",
      "to 10.0.0.9 and port 3306 and from 10.1.0.0/16",
      `${v1} 90% | ${v2} 10%`,
      "default/canary",
      "-",
    ],
    ["", "2", "to 10.0.0.9 and port 3306", v1, "default-route", "-"],
  ]);
});

test("documents are joined so that they can be applied again", () => {
  expect(joinDocuments(["---\na: 1\n\n", "b: 2"])).toBe("a: 1\n---\nb: 2\n");
});

test("no difference is no diff", async () => {
  expect(await unifiedDiff("a", "x\n", "x", paint)).toBe("");
  expect(await unifiedDiff("a", "x\n", "", paint)).toContain("+++ /dev/null");
});

test("rules of policy say where they run and what they did, faults and problems after them", () => {
  const failed = { match: 1, instance: 0, handler: 2, late: 0 };
  const rule = {
    ...{ name: "deny.rule.default", runsAt: "proxy", match: "", origin: "a.yaml:3" },
    figures: { matched: 5, denied: 4, reported: 0, failed, lastFault: "lookup failed: 'a'" },
  };
  const other = { ...rule, name: "far.rule.other", concerns: false };
  const tables = policyTables({ rules: [rule, other], problems: ["a.yaml:9: unknown"] });
  expect(tables?.map(({ rows }) => rows)).toEqual([
    [["deny.default", "proxy", "5", "4", "0", "3", "always", "a.yaml:3"]],
    [["deny.rule.default", "lookup failed: 'a'"]],
    [["a.yaml:9: unknown"]],
  ]);
  expect(policyTables({ rules: [] })?.map(({ rows }) => rows)).toEqual([[]]);
  for (const told of [undefined, "", [], { rules: 1 }]) expect(policyTables(told)).toBeUndefined();
});
