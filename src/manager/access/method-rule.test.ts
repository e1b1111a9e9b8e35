/** Who may call what: a row for every method that there is, and what each sort of caller may. */
import { expect, test } from "bun:test";
import type { DescService } from "@bufbuild/protobuf";
import * as config from "../../api/gen/mesh/v1/config_pb.ts";
import * as discovery from "../../api/gen/mesh/v1/discovery_pb.ts";
import * as identity from "../../api/gen/mesh/v1/identity_pb.ts";
import type { Principal } from "../../api/principal.ts";
import { isAllowed, methodRules } from "./method-rule.ts";

/** MetricService is the mixer's. */
const services: readonly DescService[] = [config, discovery, identity].flatMap((file) =>
  Object.values(file).filter(
    (one): one is DescService =>
      typeof one === "object" && one !== null && "kind" in one && one.kind === "service",
  ),
);

test("every method of every service has a row, and every row a method", () => {
  const methods = services.flatMap(({ typeName, methods: own }) =>
    own.map(({ name }) => `${typeName}/${name}`),
  );
  expect(services).toHaveLength(6);
  expect([...methodRules.keys()].sort()).toEqual(methods.sort());
});

test("there is no further service of the manager's", async () => {
  const files = await Array.fromAsync(new Bun.Glob("*.proto").scan("proto/mesh/v1"));
  const texts = await Promise.all(files.map((file) => Bun.file(`proto/mesh/v1/${file}`).text()));
  const found = texts.flatMap((text) => [...text.matchAll(/^service (\w+)/gm)].map(([, n]) => n!));
  const known = services.map(({ typeName }) => typeName.replace("mesh.v1.", ""));
  expect(found.filter((name) => name !== "MetricService").sort()).toEqual(known.sort());
});

const certificate = { serial: "", sha256: "", notAfterMs: 0, root: "" };
const callers: Readonly<Record<string, Principal>> = {
  anonymous: { kind: "anonymous", reason: "" },
  workload: { kind: "workload", identity: "spiffe://cluster.local/ns/a/sa/b", certificate },
  viewer: { kind: "person", name: "ann", role: "viewer" },
  operator: { kind: "person", name: "ann", role: "operator" },
  admin: { kind: "person", name: "ann", role: "admin" },
  local: { kind: "local", uid: 0 },
};

const table: readonly (readonly [method: string, who: string, toTry?: string])[] = [
  ["ConfigService/Apply", "operator admin local", "viewer operator admin local"],
  ["ConfigService/Delete", "operator admin local", "viewer operator admin local"],
  ["ConfigService/Rollback", "operator admin local", "viewer operator admin local"],
  ["ConfigService/Get", "viewer operator admin local"],
  ["ConfigService/List", "viewer operator admin local"],
  ["ConfigService/History", "viewer operator admin local"],
  ["StatusService/ListProxies", "viewer operator admin local"],
  ["StatusService/GetProxyConfig", "viewer operator admin local"],
  ["StatusService/GetVersion", "viewer operator admin local"],
  ["DiscoveryService/Watch", "workload local"],
  ["DiscoveryService/Acknowledge", "workload local"],
  ["RegistryService/Register", "workload local"],
  ["RegistryService/Withdraw", "workload local"],
  ["IdentityService/IssueCertificate", "anonymous workload viewer operator admin local"],
  ["IdentityService/GetTrustBundle", "anonymous workload viewer operator admin local"],
  ["IdentityAdminService/GetAuthority", "viewer operator admin local"],
  ["IdentityAdminService/ListJoinTokens", "viewer operator admin local"],
  ["IdentityAdminService/CreateJoinToken", "admin local"],
  ["IdentityAdminService/CreateAccessToken", "admin local"],
  ["IdentityAdminService/RotateRoot", "admin local"],
  ["IdentityAdminService/ListAudit", "admin local"],
  ["ConfigService/NoSuchMethod", ""],
];

test.each(table)("%s may be called by: %s", (method, who, toTry = who) => {
  const rule = methodRules.get(`mesh.v1.${method}`);
  const allowed = (isDryRun: boolean): string =>
    Object.entries(callers)
      .filter(([, principal]) => isAllowed(rule, principal, isDryRun))
      .map(([name]) => name)
      .join(" ");
  expect([allowed(false), allowed(true)]).toEqual([who, toTry]);
});
