/**
 * Who may call: AuthorizationPolicy as operators know it. Each row is a policy, a request, and
 * what becomes of it.
 */
import { describe, expect, test } from "bun:test";
import {
  type FactsSample,
  factsSample,
  type PolicySample,
  policySample,
} from "../../testing/access-sample.ts";
import type { Authorizer } from "./authorizer.ts";
import { compileAuthorization } from "./compile-authorization.ts";
import { decisionText } from "./decision.ts";

const WEB = "cluster.local/ns/default/sa/web";
const JOB = "cluster.local/ns/batch/sa/job";
const trustDomains = ["cluster.local", "old.local"];

function compile(policies: readonly PolicySample[], kind: "http" | "tcp"): Authorizer | undefined {
  const providers = new Set(["opa"]);
  const compiled = compileAuthorization(policies.map(policySample), { trustDomains, providers });
  expect(compiled.problems).toEqual([]);
  return compiled[kind];
}

function decide(
  policies: readonly PolicySample[],
  facts: FactsSample = {},
  kind: "http" | "tcp" = "http",
): string {
  const authorizer = compile(policies, kind);
  if (authorizer === undefined) return "allowed: nothing is asked";
  const decision = authorizer.decide(factsSample(facts));
  return `${decision.allowed ? "allowed" : "denied"}: ${decisionText(decision)}`;
}

const allow = (name: string, ...rules: readonly object[]): PolicySample => ({
  name,
  rules,
});
const deny = (name: string, ...rules: readonly object[]): PolicySample => ({
  ...{ name, rules },
  action: "DENY",
});

describe("which policy decides", () => {
  const fromWeb = { from: [{ principals: [WEB] }] };
  const toAdmin = { to: [{ paths: ["/admin*"] }] };
  const rows: readonly [string, readonly PolicySample[], FactsSample, string][] = [
    ["no policy: everybody may", [], {}, "allowed: nothing is asked"],
    ["ALLOW that matches", [allow("a", fromWeb)], { principal: WEB }, "allowed: a rule 0"],
    ["ALLOW that does not match", [allow("a", fromWeb)], { principal: JOB }, "denied: a"],
    ["ALLOW without rules denies all", [allow("a")], { principal: WEB }, "denied: a"],
    ["ALLOW with an empty rule allows all", [allow("a", {})], {}, "allowed: a rule 0"],
    ["DENY that matches", [deny("d", toAdmin)], { path: "/admin/x" }, "denied: d rule 0"],
    ["DENY that does not match, and no ALLOW", [deny("d", toAdmin)], {}, "allowed: no policy"],
    ["DENY without rules denies nobody", [deny("d")], {}, "allowed: nothing is asked"],
    [
      "DENY comes before ALLOW",
      [allow("a", {}), deny("d", toAdmin)],
      { path: "/admin" },
      "denied: d rule 0",
    ],
    [
      "one ALLOW of several is enough, and it is named",
      [allow("a", fromWeb), allow("b", { to: [{ ports: ["1"] }] }, { to: [{ ports: ["9080"] }] })],
      { principal: JOB },
      "allowed: b rule 1",
    ],
    [
      "CUSTOM of somebody whom nobody knows denies",
      [{ name: "c", action: "CUSTOM", provider: "nobody", rules: [toAdmin] }, allow("a", {})],
      { path: "/admin" },
      "denied: c rule 0",
    ],
    [
      "CUSTOM decides nothing by rules",
      [{ name: "c", action: "CUSTOM", provider: "opa", rules: [toAdmin] }],
      { path: "/admin" },
      "allowed: no policy",
    ],
    ["AUDIT decides nothing", [{ action: "AUDIT", rules: [{}] }], {}, "allowed: no policy"],
    [
      "a dry run of DENY decides nothing",
      [{ ...deny("d", {}), dryRun: true }],
      {},
      "allowed: no policy",
    ],
    [
      "a dry run of ALLOW decides nothing",
      [{ ...allow("a"), dryRun: true }],
      {},
      "allowed: no policy",
    ],
  ];
  for (const [name, policies, facts, outcome] of rows)
    test(name, () => {
      expect(decide(policies, facts)).toBe(
        outcome.replace(/: (?=[a-d]\b)/, ": AuthorizationPolicy/default/"),
      );
    });
});

/** A rule, a request that it matches, and one that it does not. */
type Row = readonly [name: string, rule: object, yes: FactsSample[], no: FactsSample[]];

const source: readonly Row[] = [
  [
    "principals, exact",
    { from: [{ principals: [WEB] }] },
    [{ principal: WEB }],
    [{}, { principal: JOB }, { principal: `${WEB}2` }, { principal: "other/ns/default/sa/web" }],
  ],
  [
    "principals of an alias of the trust domain",
    { from: [{ principals: ["old.local/ns/default/sa/web"] }] },
    [{ principal: WEB }, { principal: "old.local/ns/default/sa/web" }],
    [{ principal: "new.local/ns/default/sa/web" }],
  ],
  [
    "principals of a trust domain that is not ours",
    { from: [{ principals: ["other/ns/default/sa/web"] }] },
    [{ principal: "other/ns/default/sa/web" }],
    [{ principal: WEB }, { principal: "old.local/ns/default/sa/web" }],
  ],
  [
    "principals, prefix and suffix",
    { from: [{ principals: ["cluster.local/ns/batch/*", "*/sa/web"] }] },
    [{ principal: WEB }, { principal: JOB }],
    [{}, { principal: "cluster.local/ns/default/sa/web2" }],
  ],
  ["principals, any that is proved", { from: [{ principals: ["*"] }] }, [{ principal: WEB }], [{}]],
  [
    "notPrincipals is true of whoever proved nothing",
    { from: [{ notPrincipals: [WEB] }] },
    [{}, { principal: JOB }],
    [{ principal: WEB }],
  ],
  [
    "namespaces",
    { from: [{ namespaces: ["default", "team-*"] }] },
    [{ principal: WEB }, { principal: "cluster.local/ns/team-a/sa/x" }],
    [{}, { principal: JOB }, { principal: "cluster.local/ns/default2/sa/web" }],
  ],
  [
    "notNamespaces",
    { from: [{ notNamespaces: ["batch"] }] },
    [{}, { principal: WEB }],
    [{ principal: JOB }],
  ],
  [
    "serviceAccounts",
    { from: [{ serviceAccounts: ["default/web"] }] },
    [{ principal: WEB }, { principal: "other/ns/default/sa/web" }],
    [{}, { principal: "cluster.local/ns/batch/sa/web" }],
  ],
  [
    "trustDomains",
    { from: [{ trustDomains: ["cluster.local"], notTrustDomains: ["*.evil"] }] },
    [{ principal: WEB }],
    [{}, { principal: "other/ns/default/sa/web" }],
  ],
  [
    "ipBlocks are of the connection",
    { from: [{ ipBlocks: ["10.0.0.0/8", "2001:db8::/33"] }] },
    [{}, { sourceIp: "10.255.0.1", remoteIp: "1.1.1.1" }, { sourceIp: "2001:db8:7fff::1" }],
    [{ sourceIp: "11.0.0.1", remoteIp: "10.0.0.1" }, { sourceIp: "2001:db8:8000::1" }],
  ],
  [
    "remoteIpBlocks are of the client",
    { from: [{ remoteIpBlocks: ["203.0.113.7"], notRemoteIpBlocks: ["10.0.0.0/8"] }] },
    [{ remoteIp: "203.0.113.7" }],
    [{}, { remoteIp: "203.0.113.8" }],
  ],
  [
    "an address of IPv4 as IPv6 has it",
    { from: [{ ipBlocks: ["::ffff:10.0.0.0/104"] }] },
    [{ sourceIp: "10.9.9.9" }, { sourceIp: "::ffff:10.9.9.9" }],
    [{ sourceIp: "11.0.0.1" }],
  ],
  [
    "requestPrincipals",
    { from: [{ requestPrincipals: ["https://iss/*", "*/sub"] }] },
    [{ token: { iss: "https://iss", sub: "x" } }, { token: { iss: "y", sub: "sub" } }],
    [{}, { token: { iss: "y", sub: "x" } }, { token: { iss: "https://iss" } }],
  ],
  [
    "notRequestPrincipals: * is true of whoever has no token",
    { from: [{ notRequestPrincipals: ["*"] }] },
    [{}],
    [{ token: { iss: "a", sub: "b" } }],
  ],
  [
    "all fields of one source, one of several sources",
    { from: [{ principals: [WEB], ipBlocks: ["10.0.0.7"] }, { namespaces: ["batch"] }] },
    [{ principal: WEB }, { principal: JOB, sourceIp: "1.1.1.1" }],
    [{ principal: WEB, sourceIp: "10.0.0.8" }],
  ],
];

const operation: readonly Row[] = [
  ["methods", { to: [{ methods: ["GET", "P*"] }] }, [{}, { method: "PUT" }], [{ method: "get" }]],
  ["notMethods", { to: [{ notMethods: ["GET"] }] }, [{ method: "POST" }], [{}]],
  [
    "paths",
    { to: [{ paths: ["/exact", "/prefix/*", "*.html"] }] },
    [{ path: "/exact" }, { path: "/prefix/" }, { path: "/a/b.html" }],
    [{}, { path: "/exact/" }, { path: "/prefix" }, { path: "/a.html/b" }],
  ],
  [
    "templates of paths",
    { to: [{ paths: ["/a/{*}/c", "/b/{**}", "/{**}/z"] }] },
    [{ path: "/a/x/c" }, { path: "/b/" }, { path: "/b/x/y" }, { path: "/x/y/z" }],
    [{ path: "/a//c" }, { path: "/a/x/y/c" }, { path: "/b" }, { path: "/z" }, { path: "/a/x/c/" }],
  ],
  ["notPaths", { to: [{ notPaths: ["/health"] }] }, [{}], [{ path: "/health" }]],
  [
    "hosts in any case, with and without port",
    { to: [{ hosts: ["Reviews.example.com", "*.internal", "api.*"] }] },
    [
      { host: "reviews.example.com" },
      { host: "REVIEWS.example.com:8080" },
      { host: "x.internal:1" },
      { host: "API.x" },
    ],
    [{}, { host: "reviews.example.com.evil" }, { host: "internal" }],
  ],
  [
    "hosts with a port are meant at that port",
    { to: [{ hosts: ["reviews:8080"] }] },
    [{ host: "reviews:8080" }],
    [{}, { host: "reviews:9080" }],
  ],
  [
    "notHosts cannot be escaped by a port",
    { to: [{ notHosts: ["reviews"] }] },
    [{ host: "ratings" }],
    [{}, { host: "reviews:1234" }, { host: "REVIEWS" }],
  ],
  ["ports", { to: [{ ports: ["9080", "80"] }] }, [{}, { port: 80 }], [{ port: 8080 }]],
  ["notPorts", { to: [{ notPorts: ["9080"] }] }, [{ port: 80 }], [{}]],
  [
    "all fields of one operation, one of several",
    { to: [{ methods: ["GET"], paths: ["/a"] }, { methods: ["POST"] }] },
    [{ path: "/a" }, { method: "POST", path: "/x" }],
    [{ path: "/b" }],
  ],
];

const when = (key: string, values: string[], notValues: string[] = []) => ({
  when: [{ key, values, notValues }],
});

const condition: readonly Row[] = [
  [
    "request.headers, by a name in any case",
    when("request.headers[X-Tier]", ["gold", "sil*"]),
    [{ headers: { "x-tier": "gold" } }, { headers: { "x-tier": "silver" } }],
    [{}, { headers: { "x-tier": "Gold" } }, { headers: { "x-tier": "" } }],
  ],
  [
    "a header that is there, though it is empty",
    when("request.headers[x-tier]", ["*"]),
    [{ headers: { "x-tier": "" } }],
    [{}],
  ],
  [
    "notValues is true of a header that is not there",
    when("request.headers[x-tier]", [], ["gold"]),
    [{}, { headers: { "x-tier": "silver" } }],
    [{ headers: { "x-tier": "gold" } }],
  ],
  ["source.ip", when("source.ip", ["10.0.0.0/24"], ["10.0.0.8"]), [{}], [{ sourceIp: "10.0.0.8" }]],
  ["remote.ip", when("remote.ip", ["1.2.3.4"]), [{ remoteIp: "1.2.3.4" }], [{}]],
  ["source.namespace", when("source.namespace", ["batch"]), [{ principal: JOB }], [{}]],
  [
    "source.serviceAccount",
    when("source.serviceAccount", ["batch/job"]),
    [{ principal: JOB }],
    [{ principal: WEB }],
  ],
  [
    "source.principal, of an alias too",
    when("source.principal", ["old.local/ns/batch/sa/job"]),
    [{ principal: JOB }],
    [{ principal: WEB }, {}],
  ],
  [
    "source.trustDomain",
    when("source.trustDomain", ["cluster.local"]),
    [{ principal: JOB }],
    [{ principal: "x/ns/batch/sa/job" }],
  ],
  [
    "request.auth.principal",
    when("request.auth.principal", ["iss/sub"]),
    [{ token: { iss: "iss", sub: "sub" } }],
    [{}, { token: { iss: "iss", sub: "other" } }],
  ],
  [
    "request.auth.audiences: one of them",
    when("request.auth.audiences", ["b"]),
    [{ token: { aud: ["a", "b"] } }, { token: { aud: "b" } }],
    [{}, { token: { aud: ["a"] } }],
  ],
  [
    "request.auth.presenter",
    when("request.auth.presenter", ["app"]),
    [{ token: { azp: "app" } }],
    [{}, { token: { azp: "other" } }],
  ],
  [
    "request.auth.claims, nested, one of a list",
    when("request.auth.claims[realm][roles]", ["admin"]),
    [{ token: { realm: { roles: ["user", "admin"] } } }, { token: { realm: { roles: "admin" } } }],
    [{}, { token: { realm: {} } }, { token: { realm: "admin" } }, { token: { roles: ["admin"] } }],
  ],
  [
    "a claim that is a list divided by spaces",
    when("request.auth.claims[scope]", ["write"]),
    [{ token: { scope: "read write" } }],
    [{ token: { scope: "readwrite" } }],
  ],
  [
    "notValues of a claim that is not there",
    when("request.auth.claims[group]", [], ["banned"]),
    [{}, { token: { group: "x" } }],
    [{ token: { group: ["x", "banned"] } }],
  ],
  ["destination.ip", when("destination.ip", ["10.0.0.9"]), [{}], [{ destinationIp: "10.0.0.1" }]],
  ["destination.port", when("destination.port", ["9080"]), [{}], [{ port: 80 }]],
  [
    "connection.sni",
    when("connection.sni", ["*.example.com"], ["bad.example.com"]),
    [{ serverName: "a.example.com" }],
    [{}, { serverName: "bad.example.com" }],
  ],
  [
    "what no filter here says is never there",
    when("experimental.envoy.filters.a.b[c]", ["x"]),
    [],
    [{}],
  ],
  ["and is not what it is not", when("experimental.envoy.filters.a.b[c]", [], ["x"]), [{}], []],
];

for (const [title, rows] of Object.entries({ source, operation, condition }))
  describe(title, () => {
    for (const [name, rule, yes, no] of rows)
      test(name, () => {
        // Beside others, so that it is found by its keys as well as walked.
        const others = Array.from({ length: 8 }, (_, i) => ({ to: [{ ports: [String(i + 1)] }] }));
        for (const rules of [[rule], [...others, rule]]) {
          const policies = [{ action: "DENY", rules } as const];
          for (const facts of yes)
            expect([facts, decide(policies, facts)]).toEqual([facts, denied(rules.length - 1)]);
          for (const facts of no)
            expect([facts, decide(policies, facts)]).toEqual([facts, "allowed: no policy"]);
        }
      });
  });

function denied(rule: number): string {
  return `denied: AuthorizationPolicy/default/sample rule ${rule}`;
}

describe("connections that are passed on as they are", () => {
  const ofRequests: readonly (readonly [string, object])[] = [
    ["methods", { to: [{ methods: ["GET"] }] }],
    ["notPaths", { to: [{ notPaths: ["/x"] }] }],
    ["hosts", { to: [{ hosts: ["x"] }] }],
    ["requestPrincipals", { from: [{ requestPrincipals: ["x"] }] }],
    ["a header", when("request.headers[x]", ["y"])],
    ["a claim", when("request.auth.claims[x]", ["y"])],
  ];
  for (const [name, rule] of ofRequests) {
    const onPort = { ...rule, to: [{ ...(rule as { to?: object[] }).to?.[0], ports: ["9080"] }] };
    test(`ALLOW with ${name} allows nothing`, () => {
      expect(decide([allow("a", onPort)], {}, "tcp")).toBe("denied: AuthorizationPolicy/default/a");
    });
    test(`DENY is read without ${name}, and so denies more`, () => {
      const policies = [deny("d", onPort)];
      expect(decide(policies, {}, "tcp")).toBe("denied: AuthorizationPolicy/default/d rule 0");
      expect(decide(policies, { port: 80 }, "tcp")).toBe("allowed: no policy");
    });
  }

  test("rules of connections alone are as for requests", () => {
    const policies = [
      allow("a", { from: [{ namespaces: ["default"] }], to: [{ ports: ["9080"] }] }),
    ];
    expect(decide(policies, { principal: WEB }, "tcp")).toStartWith("allowed");
    expect(decide(policies, { principal: JOB }, "tcp")).toStartWith("denied");
  });

  test("CUSTOM denies what it would ask about: connections cannot be shown", () => {
    const custom = (rule: object): PolicySample => ({
      action: "CUSTOM",
      provider: "opa",
      rules: [rule],
    });
    expect(decide([custom({ to: [{ ports: ["9080"] }] })], {}, "tcp")).toBe(denied(0));
    // As DENY: what is said of requests is left out, or who brings TLS of his own is not asked for.
    expect(decide([custom({ to: [{ paths: ["/x"] }] })], {}, "tcp")).toBe(denied(0));
    const other = custom({ to: [{ paths: ["/x"], ports: ["1"] }] });
    expect(decide([other], {}, "tcp")).toStartWith("allowed");
  });
});

describe("dry run and audit", () => {
  const toAdmin = { to: [{ paths: ["/admin"] }] };
  const shadow = (policies: readonly PolicySample[], path: string) =>
    compile(policies, "http")?.shadow(factsSample({ path }))?.allowed;

  test("what would be if a DENY were in force", () => {
    const policies = [{ ...deny("d", toAdmin), dryRun: true }];
    expect(shadow(policies, "/admin")).toBe(false);
    expect(shadow(policies, "/")).toBe(true);
  });

  test("what would be if an ALLOW were in force beside another", () => {
    const policies = [
      allow("a", { to: [{ paths: ["/a"] }] }),
      { ...allow("b", toAdmin), dryRun: true },
    ];
    expect(decide(policies, { path: "/admin" })).toStartWith("denied");
    expect(shadow(policies, "/admin")).toBe(true);
    expect(shadow(policies, "/other")).toBe(false);
  });

  test("nothing is asked of a dry run where there is none", () => {
    expect(shadow([deny("d", toAdmin)], "/admin")).toBeUndefined();
  });

  test("AUDIT names its rule", () => {
    const authorizer = compile([{ name: "log", action: "AUDIT", rules: [toAdmin] }], "http");
    expect(authorizer?.audit(factsSample({ path: "/admin" }))?.policy).toEndWith("/log");
    expect(authorizer?.audit(factsSample())).toBeUndefined();
  });
});

test("what is wrong is said with its place, all at once", () => {
  const policy = policySample({
    rules: [
      {
        from: [{ ipBlocks: ["10.0.0.0/33", "10.0.0.1"], notRemoteIpBlocks: ["x"] }],
        to: [{ ports: ["http", "70000"], paths: ["/a/{**}/{*}", "/a{*}", "/{x}/{*}"] }],
        when: [{ key: "request.header[x]", values: ["y"] }],
      },
    ],
  });
  const { problems } = compileAuthorization([policy], { trustDomains, providers: new Set() });
  expect(
    problems.map(
      ({ path, message, position }) =>
        `${position.line} ${path.replace("authorization_policies.rules[0].", "")}: ${message}`,
    ),
  ).toEqual([
    '3 from[0].ip_blocks[0]: "10.0.0.0/33" is neither an address nor a range of them',
    '3 from[0].remote_ip_blocks[0]: "x" is neither an address nor a range of them',
    '3 to[0].ports[0]: "http" is no port',
    '3 to[0].ports[1]: "70000" is no port',
    "3 to[0].paths[0]: {**} is the last of the operators",
    "3 to[0].paths[1]: an operator, {*} or {**}, is a whole segment",
    "3 to[0].paths[2]: an operator, {*} or {**}, is a whole segment",
    '3 when[0].key: "request.header[x]" is no key',
  ]);
});
