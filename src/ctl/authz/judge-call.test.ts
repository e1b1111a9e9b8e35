/** Whether a call would be let in: what is said of it, and what a proxy was sent. */
import { expect, test } from "bun:test";
import { create, fromJson } from "@bufbuild/protobuf";
import { AccessConfigSchema, MutualTls_Mode } from "../../api/gen/mesh/v1/access_pb.ts";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { type CallWords, callFacts } from "./call-facts.ts";
import { judgeCall } from "./judge-call.ts";
import { sourceOf } from "./source.ts";

const WEB = "cluster.local/ns/default/sa/web";

function configOf(access: object | undefined): ProxyConfig {
  const parsed = access && fromJson(AccessConfigSchema, access as never);
  return create(ProxyConfigSchema, {
    ...(parsed === undefined ? {} : { access: parsed }),
    trust: { trustDomain: "cluster.local" },
    clusters: [
      { name: "c-web", service: "web.default.svc.cluster.local", port: 80 },
      { name: "c-old", service: "old.batch.svc.cluster.local", port: 80 },
    ],
    endpointSets: [
      {
        cluster: "c-web",
        endpoints: [
          { address: "10.0.0.7", port: 80, identity: `spiffe://${WEB}` },
          { address: "10.0.0.8", port: 80, identity: "spiffe://cluster.local/ns/default/sa/b" },
        ],
      },
      { cluster: "c-old", endpoints: [{ address: "10.0.0.9", port: 80 }] },
    ],
  });
}

const usual: CallWords = {
  ...{ method: "GET", path: "/", host: "reviews", port: 9080, address: "", serverName: "" },
  ...{ headers: [], claims: [] },
};

function judge(access: object | undefined, source: string, words: Partial<CallWords> = {}) {
  const config = configOf(access);
  const said = { ...usual, ...words };
  return judgeCall(config, callFacts(sourceOf(source, config), said), said.method === "TCP");
}

const policy = (name: string, rule: object, more: object = {}) => ({
  origin: { object: `AuthorizationPolicy/default/${name}`, file: "a.yaml", line: 7 },
  rules: [rule],
  ...more,
});
const onlyWeb = { authorizationPolicies: [policy("web", { from: [{ principals: [WEB] }] })] };

test("sources: a service as its endpoints say, else by its name; an identity; nobody", () => {
  const config = configOf(undefined);
  expect(sourceOf("web", config)).toMatchObject({ principal: WEB, address: "10.0.0.7" });
  expect(sourceOf("web", config).note).toContain("web runs as ");
  expect(sourceOf("old.batch", config)).toEqual({
    principal: "cluster.local/ns/batch/sa/old",
    address: "10.0.0.9",
    note: "old.batch is taken to run as cluster.local/ns/batch/sa/old",
  });
  expect(sourceOf(`spiffe://${WEB}`, config).principal).toBe(WEB);
  expect(sourceOf(WEB, undefined).principal).toBe(WEB);
  expect(sourceOf("anonymous", config)).toEqual({ principal: "", address: "", note: "" });
});

test("without rules everybody may, in plaintext too", () => {
  for (const access of [undefined, {}])
    expect(judge(access, "anonymous")).toMatchObject({
      ...{ allowed: true, by: "no policy", mutualTls: "PERMISSIVE", plaintext: true },
    });
});

test("the policy and rule that decide are named, and what would let it in", () => {
  expect(judge(onlyWeb, "web")).toMatchObject({
    ...{ allowed: true, by: "AuthorizationPolicy/default/web rule 0", place: "a.yaml:7" },
  });
  expect(judge(onlyWeb, "old.batch")).toMatchObject({
    ...{ allowed: false, by: "AuthorizationPolicy/default/web" },
    remedies: [
      `AuthorizationPolicy/default/web rule 0 (a.yaml:7) would allow it with principals ${WEB}`,
    ],
  });
});

test("STRICT refuses whoever proves nothing; by port", () => {
  const origin = { object: "PeerAuthentication/default/strict", file: "b.yaml", line: 2 };
  const mutualTls = { mode: "MODE_STRICT", ports: { "8080": "MODE_PERMISSIVE" }, origin };
  expect(judge({ mutualTls }, "anonymous")).toMatchObject({
    ...{ allowed: false, by: "PeerAuthentication/default/strict", place: "b.yaml:2" },
    ...{ mutualTls: "STRICT", plaintext: false },
    mutualTlsBy: "PeerAuthentication/default/strict b.yaml:2",
  });
  expect(judge({ mutualTls }, "web")).toMatchObject({ allowed: true, plaintext: false });
  expect(judge({ mutualTls }, "anonymous", { port: 8080 }).allowed).toBe(true);
  expect(MutualTls_Mode.STRICT).toBe(3);
});

test("where mutual TLS is disabled nobody's identity counts", () => {
  const access = { ...onlyWeb, mutualTls: { mode: "MODE_DISABLE" } };
  const { allowed, notes } = judge(access, "web");
  expect(allowed).toBe(false);
  expect(notes[0]).toContain("DISABLE");
});

test("what is said of a request counts: headers, claims, address, host, path without query", () => {
  const rule = {
    from: [{ requestPrincipals: ["iss/ann"], ipBlocks: ["10.9.0.0/16"] }],
    to: [{ methods: ["PUT"], hosts: ["shop"], paths: ["/a/c"] }],
    when: [
      { key: "request.headers[x-tier]", values: ["gold"] },
      { key: "request.auth.claims[realm][roles]", values: ["admin"] },
    ],
  };
  const words: Partial<CallWords> = {
    ...{ method: "PUT", path: "/a/b/../c?x=/", host: "Shop:80", address: "10.9.1.1" },
    headers: ["X-Tier=gold"],
    claims: ["iss=iss", "sub=ann", "realm.roles=user", "realm.roles=admin"],
  };
  const access = { authorizationPolicies: [policy("p", rule)] };
  expect(judge(access, "anonymous", words).allowed).toBe(true);
  for (const less of [
    { headers: [] },
    { claims: ["iss=iss", "sub=ann"] },
    { address: "" },
    { host: "other" },
    { method: "GET" },
    { path: "/a/b/c" },
  ])
    expect(judge(access, "anonymous", { ...words, ...less }).allowed).toBe(false);
});

test("whom it would be shown to is named; whom nobody knows denies", () => {
  const custom = policy("c", {}, { action: "ACTION_CUSTOM", provider: "opa" });
  const externalAuthorizers = [{ name: "opa" }];
  const access = { authorizationPolicies: [custom], externalAuthorizers };
  expect(judge(access, "web")).toMatchObject({ allowed: true, asks: ["opa"] });
  expect(judge({ authorizationPolicies: [custom] }, "web")).toMatchObject({ allowed: false });
});

test("a connection is judged as one", () => {
  const rule = { from: [{ principals: [WEB] }], to: [{ methods: ["GET"] }] };
  const access = { authorizationPolicies: [policy("p", rule)] };
  expect(judge(access, "web").allowed).toBe(true);
  expect(judge(access, "web", { method: "TCP", path: "" }).allowed).toBe(false);
});

test.each([
  [{ headers: ["x"] }, "--header is name=value"],
  [{ claims: ["=x"] }, "--claim is name=value"],
  [{ path: "x" }, "a path begins with /"],
])("%j is a usage mistake", (words, says) => {
  expect(() => judge(undefined, "web", words)).toThrow(says);
});
