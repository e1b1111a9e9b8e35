/** From what an operator applies to what a proxy is told of its callers, and back again. */
import { afterEach, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { AuthorizationPolicy_Action, MutualTls_Mode } from "../../api/gen/mesh/v1/access_pb.ts";
import { ApplyMode, ConfigService } from "../../api/gen/mesh/v1/config_pb.ts";
import { NodeSchema, RegistryService } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { problemFromMessage } from "../../api/problem.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { formatProblem } from "../../core/problem.ts";
import { Manager } from "../manager.ts";
import { forgetfulWorkloadStore } from "../registry/workload-store.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { apiRoutes } from "./routes.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open() {
  let roots = ["old"];
  const listeners = new Set<() => void>();
  const manager = await Manager.open({
    clock: systemClock,
    log: new Log("manager", { level: "error" }),
    store: new MemoryStore(systemClock),
    workloads: forgetfulWorkloadStore,
    ...{ namespace: "default", domain: "cluster.local", leaseMs: 10_000 },
    trust: {
      trustDomain: "acme",
      trust: () => ({ trustDomain: "acme", rootPems: roots }),
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
  });
  closing.push(() => manager.close());
  const transport = createRouterTransport(apiRoutes(manager));
  const config = createClient(ConfigService, transport);
  const registry = createClient(RegistryService, transport);
  const apply = async (text: string) => {
    const documents = [{ file: "put.yaml", text }];
    const { problems } = await config.apply({ documents, mode: ApplyMode.APPLY });
    return problems.map((problem) => formatProblem(problemFromMessage(problem)));
  };
  const told = (service: string) => {
    manager.flush();
    return manager.discovery.resourcesOf(create(NodeSchema, { id: "a", service }));
  };
  const identities = () =>
    told("web.default").endpointSets.flatMap(({ message }) =>
      message.endpoints.map(({ identity }) => identity),
    );
  const rotate = (next: readonly string[]): void => {
    roots = [...next];
    for (const listener of listeners) listener();
  };
  return { config, registry, apply, told, identities, rotate, listeners, manager };
}

const object = (kind: string, name: string, spec: string): string =>
  `apiVersion: security.istio.io/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const mode = (name: string) =>
  object("PeerAuthentication", "default", `{ mtls: { mode: ${name} } }`);

const reviews = {
  ...{ id: "r", service: "reviews.default", address: "10.0.0.1", port: 15_006 },
  ...{ servicePort: 9_080, healthy: true, mutualTls: true },
};

test("mutual TLS is asked of callers, and who has none is called without", async () => {
  const mesh = await open();
  await mesh.registry.register({ workload: reviews });
  expect(mesh.identities()).toEqual(["spiffe://acme/ns/default/sa/reviews"]);
  expect(await mesh.apply(mode("STRICT"))).toEqual([]);
  const { access } = mesh.told("reviews.default");
  expect(access.message.mutualTls?.mode).toBe(MutualTls_Mode.STRICT);
  expect(access.message.mutualTls?.origin?.object).toBe("PeerAuthentication/default/default");
  await mesh.apply(mode("DISABLE"));
  expect(mesh.identities()).toEqual([""]);
  await mesh.config.rollback({ kind: "PeerAuthentication", namespace: "default", name: "default" });
  expect(mesh.identities()).toEqual(["spiffe://acme/ns/default/sa/reviews"]);
});

test("a destination rule decides how endpoints are called", async () => {
  const mesh = await open();
  await mesh.registry.register({ workload: reviews });
  const rule = (tls: string) => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: d }
spec: { host: reviews, trafficPolicy: { tls: { mode: ${tls} } } }\n`;
  const requires = () =>
    mesh.told("web.default").clusters.map(({ message }) => message.requiresIdentity);
  expect(requires()).toEqual([false]);
  await mesh.apply(rule("ISTIO_MUTUAL"));
  expect(requires()).toEqual([true]);
  expect(mesh.identities()).toEqual(["spiffe://acme/ns/default/sa/reviews"]);
  await mesh.apply("kind: MeshConfig\nenableAutoMtls: false\n");
  expect(mesh.identities()).toEqual(["spiffe://acme/ns/default/sa/reviews"]);
  await mesh.config.delete({
    objects: [{ kind: "DestinationRule", namespace: "default", name: "d" }],
  });
  expect(mesh.identities()).toEqual([""]);
  await mesh.apply("kind: MeshConfig\nenableAutoMtls: true\n");
  expect(mesh.identities()).toEqual(["spiffe://acme/ns/default/sa/reviews"]);
  await mesh.apply(rule("DISABLE"));
  expect(requires()).toEqual([false]);
  expect(mesh.identities()).toEqual([""]);
});

test("a policy is told to whom it is for, in every trust domain of the mesh", async () => {
  const mesh = await open();
  const source = "principals: [cluster.local/ns/default/sa/web]";
  const rules = `rules: [{ from: [{ source: { ${source} } }] }]`;
  const spec = `{ selector: { matchLabels: { app: a } }, ${rules} }`;
  const policy = object("AuthorizationPolicy", "a", spec);
  expect(await mesh.apply(policy)).toEqual([]);
  const node = create(NodeSchema, { id: "a", service: "a.default", labels: { app: "a" } });
  const policies = () => {
    mesh.manager.flush();
    return mesh.manager.discovery.resourcesOf(node).access.message.authorizationPolicies;
  };
  expect(policies().map(({ action }) => action)).toEqual([AuthorizationPolicy_Action.ALLOW]);
  const principals = () => policies()[0]?.rules[0]?.from[0]?.principals;
  expect(principals()).toEqual(["acme/ns/default/sa/web"]);
  expect(mesh.told("other.default").access.message.authorizationPolicies).toEqual([]);
  await mesh.apply("kind: MeshConfig\ntrustDomain: acme.new\ntrustDomainAliases: [acme.old]\n");
  expect(principals()).toEqual(
    ["acme", "acme.new", "acme.old"].map((one) => `${one}/ns/default/sa/web`),
  );
  expect(mesh.told("other.default").trust?.message.trustDomainAliases).toEqual([
    "acme.new",
    "acme.old",
  ]);
});

test("roots of the authority are told when they change", async () => {
  const mesh = await open();
  expect(mesh.told("a.default").trust?.message.rootPems).toEqual(["old"]);
  mesh.rotate(["new", "old"]);
  expect(mesh.told("a.default").trust?.message.rootPems).toEqual(["new", "old"]);
  await closing.pop()?.();
  expect(mesh.listeners.size).toBe(0);
});

test("what is wrong is refused with its place, and changes nothing", async () => {
  const mesh = await open();
  const text = object("AuthorizationPolicy", "a", "{ action: DENY, rules: [{ from: [{}] }] }");
  expect(await mesh.apply(text)).toEqual([
    "put.yaml:4:40: spec.rules[0].from[0]: must have a source",
  ]);
  expect((await mesh.config.list({})).objects).toEqual([]);
});
