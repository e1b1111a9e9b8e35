/** Who is sent which part of the policy. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { AccessConfigSchema } from "../../api/gen/mesh/v1/access_pb.ts";
import { type PolicyConfig, PolicyConfigSchema } from "../../api/gen/mesh/v1/policy_pb.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { PolicySet } from "../../model/policy-set.ts";
import type { Service } from "../../model/service.ts";
import { deltaUpdate, wholeUpdate } from "../discovery/delta.ts";
import { Catalog } from "./catalog.ts";
import { policyFor } from "./policy.ts";
import { ruleSetOf } from "./rule-set.ts";
import type { NodeView } from "./source.ts";
import { Translator } from "./translator.ts";

const rule = (where: string, handler: string, instance: string): string =>
  `kind: rule\nmetadata: { name: ${where}-rule, namespace: ${where} }
spec: { actions: [{ handler: ${handler}, instances: [${instance}] }] }\n`;
const object = (kind: string, where: string, name: string, spec = ""): string =>
  `kind: ${kind}\nmetadata: { name: ${name}, namespace: ${where} }\nspec: ${spec}\n`;
const binding = (name: string, service: string): string =>
  object(
    "QuotaSpecBinding",
    "shop",
    name,
    `{ services: [{ service: "${service}" }], quotaSpecs: [{ name: ${name} }] }`,
  );

function read(...documents: readonly string[]) {
  const text = documents
    .map((document) => `apiVersion: config.istio.io/v1alpha2\n${document}`)
    .join("---\n");
  const { configs, problems } = readDocuments(text, { file: "p.yaml", namespace: "default" });
  expect(problems).toEqual([]);
  return configs;
}

const everything = read(
  object("attributemanifest", "other", "mine", "{ attributes: {} }"),
  rule("istio-system", "log", "entry"),
  rule("shop", "deny.denier", "nothing.checknothing.lib, more.lib"),
  rule("bank", "list.listchecker.bank", "entry"),
  object("handler", "istio-system", "log", "{ compiledAdapter: stdio }"),
  object("instance", "istio-system", "entry", "{ compiledTemplate: logentry }"),
  object("denier", "shop", "deny"),
  object("denier", "bank", "deny"),
  object("checknothing", "lib", "nothing"),
  object("instance", "lib", "more", "{ compiledTemplate: checknothing }"),
  object("listchecker", "bank", "list"),
  object("instance", "bank", "entry", "{ compiledTemplate: listentry }"),
  object("stdio", "shop", "nobody-names-it"),
  ...["web", "all", "pay"].map((name) =>
    object("QuotaSpec", "shop", name, "{ rules: [{ quotas: [{ quota: q }] }] }"),
  ),
  binding("web", "web.shop.svc.cluster.local"),
  binding("all", "*"),
  binding("pay", "*.bank.svc.cluster.local"),
);
const rules = ruleSetOf(everything, "cluster.local");

const node = (service: string, namespace: string, mode?: NodeView["mode"]): NodeView => ({
  service,
  namespace,
  labels: {},
  ...(mode && { mode }),
});
const web = node("web.shop.svc.cluster.local", "shop");

function names(set: PolicySet): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(set).flatMap(([kind, all]) => {
      const of = all as PolicySet["handlers"];
      const list = of.map((one) => `${one.namespace}/${one.name}`).join(" ");
      return list === "" ? [] : [[kind, list]];
    }),
  );
}

test("a proxy is sent the rules for all, those of its namespace, and what they name", () => {
  expect(names(policyFor(rules.policy, web))).toEqual({
    manifests: "other/mine",
    rules: "istio-system/istio-system-rule shop/shop-rule",
    handlers: "shop/deny istio-system/log",
    instances: "lib/nothing istio-system/entry lib/more",
    quotaSpecs: "shop/all shop/web",
    quotaSpecBindings: "shop/all shop/web",
  });
  expect(names(policyFor(rules.policy, node("pay.bank.svc.cluster.local", "bank")))).toEqual({
    manifests: "other/mine",
    rules: "bank/bank-rule istio-system/istio-system-rule",
    handlers: "istio-system/log bank/list",
    instances: "bank/entry istio-system/entry",
    quotaSpecs: "shop/all shop/pay",
    quotaSpecBindings: "shop/all shop/pay",
  });
});

test("a gateway speaks for every service, and without one only what is for all is bound", () => {
  const bound = (view: NodeView) => names(policyFor(rules.policy, view)).quotaSpecBindings;
  expect(bound(node("", "edge", "gateway"))).toBe("shop/all shop/pay shop/web");
  expect(bound(node("", "edge"))).toBe("shop/all");
});

test("a mixer is sent all of it, and nothing else", () => {
  const translator = new Translator("cluster.local");
  const service: Service = {
    ...{ host: "a.example", namespace: "shop", addresses: [], external: true, registry: "file" },
    ...{ ports: [{ name: "http", number: 80, protocol: "HTTP" }], resolution: "DNS" },
  };
  translator.update({ rules, catalog: new Catalog([service], []) });
  const { config } = wholeUpdate(translator.resources(node("", "istio-system", "mixer")));
  const { policy, settings: _, version: __, $typeName: ___, access, ...others } = config!;
  expect(sizes(policy!)).toEqual([1, 5, 4, 3, 3, 3, 0, 0]);
  const none = { virtualHosts: [], clusters: [], endpointSets: [], tcpDestinations: [] };
  expect(access).toEqual(create(AccessConfigSchema));
  expect(others).toEqual({ ...none, workloads: [] });
});

function sizes(policy: PolicyConfig): readonly number[] {
  const { $typeName: _, $unknown: __, ...lists } = policy;
  return Object.values(lists).map(({ length }) => length);
}

test("policy is sent when it changes for that proxy, whole, and left out when it does not", () => {
  const translator = new Translator("cluster.local");
  const catalog = new Catalog([], []);
  const update = (configs: typeof everything) =>
    translator.update({ rules: ruleSetOf(configs, "cluster.local"), catalog });
  update(everything);
  const first = translator.resources(web);
  update(everything.filter(({ meta }) => meta.namespace !== "bank"));
  const second = translator.resources(web);
  expect(deltaUpdate(first, second).config?.policy).toBeUndefined();
  update(everything.filter(({ meta }) => meta.name !== "shop-rule"));
  const third = translator.resources(web);
  expect(sizes(deltaUpdate(second, third).config!.policy!)).toEqual([1, 1, 1, 1, 2, 2, 0, 0]);
  update([]);
  const last = deltaUpdate(third, translator.resources(web));
  expect(last.config?.policy).toEqual(create(PolicyConfigSchema, {}));
});

test("proxies whose policy is the same share one view", () => {
  const translator = new Translator("cluster.local");
  translator.update({ rules, catalog: new Catalog([], []) });
  const [a, b] = ["a", "b"].map((name) => node(`${name}.shop.svc.cluster.local`, "shop"));
  expect(translator.resources(a!)).toBe(translator.resources(b!));
  expect(translator.resources(a!)).not.toBe(translator.resources(web));
});
