/** Access of a data plane, as configurations bring it: tokens, authorizers, and neither. */
import { afterEach, expect, test } from "bun:test";
import { connect } from "node:tls";
import type { JsonObject } from "@bufbuild/protobuf";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { systemRandom } from "../../core/random.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import { config } from "../../testing/snapshot-sample.ts";
import { TokenIssuer } from "../../testing/token-issuer.ts";
import { DataPlane } from "../data-plane.ts";
import { parseProxyFlags } from "../flags.ts";

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const issuer = new TokenIssuer();
const requestAuthentications = [{ rules: [{ issuer: issuer.name, jwks: issuer.keySet() }] }];

function serve(script: FakeScript): FakeUpstream {
  const made = new FakeUpstream({ script });
  closers.push(() => made.close());
  return made;
}

async function start() {
  const app = serve((_, reply) => reply.respond(200, "the application"));
  const args = ["--service", "shop.default", "--app-port", String(app.port)];
  const parsed = parseProxyFlags([
    ...args,
    ...["--outbound", "127.0.0.1:0", "--inbound", "127.0.0.1:0"],
  ]);
  if (parsed.at !== "flags") throw new Error(JSON.stringify(parsed));
  const log = new Log("test", { level: "error" });
  const { flags } = parsed;
  const plane = new DataPlane({ flags, clock: systemClock, random: systemRandom, log });
  closers.push(() => plane.close());
  await plane.listen(undefined);
  const ask = async (token?: string): Promise<string> => {
    const url = `http://127.0.0.1:${plane.address("inbound")!.port}/a`;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(url, { headers });
    return `${response.status} ${await response.text()}`;
  };
  /** With TLS of his own, which a PERMISSIVE port passes on as it is; whether it came through. */
  const passes = async (): Promise<boolean> => {
    const before = app.connections;
    const port = plane.address("inbound")!.port;
    const socket = connect({ host: "127.0.0.1", port, ALPNProtocols: ["http/1.1"] });
    socket.on("error", () => {});
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    await Promise.race([closed, app.until(() => app.connections > before)]);
    socket.destroy();
    return app.connections > before;
  };
  return { plane, ask, passes };
}

test("before there is a configuration nobody is let in, and no connection is kept", async () => {
  const { plane, ask } = await start();
  expect(await ask()).toStartWith("503 ");
  const port = plane.address("inbound")!.port;
  const response = await fetch(`http://127.0.0.1:${port}/`);
  expect(response.headers.get("x-mesh-reason")).toBe("proxy-not-ready");
  expect(response.headers.get("connection")).toBe("close");
  const bad = {
    authorizationPolicies: [
      { action: "ACTION_DENY", rules: [{ when: [{ key: "what.is.this" }] }] },
    ],
  };
  expect(await plane.apply(config({ version: "1", access: bad }))).not.toEqual([]);
  expect(await ask()).toStartWith("503 ");
  expect(await plane.apply(config({ version: "2" }))).toEqual([]);
  expect(await ask()).toBe("200 the application");
});

test("what cannot be compiled leaves all that was in force, whatever else it says", async () => {
  const { plane, ask } = await start();
  const deny = { action: "ACTION_DENY", rules: [{}] };
  expect(plane.apply(config({ version: "1", access: { authorizationPolicies: [deny] } }))).toEqual(
    [],
  );
  expect(await ask()).toBe("403 RBAC: access denied");
  const unknown = { action: "ACTION_ALLOW", rules: [{ when: [{ key: "what.is.this" }] }] };
  const address = { action: "ACTION_ALLOW", rules: [{ from: [{ ipBlocks: ["10.0.0.0/99"] }] }] };
  for (const one of [unknown, address]) {
    const access = { authorizationPolicies: [{ action: "ACTION_ALLOW", rules: [{}] }, one] };
    const problems = await plane.apply(config({ version: "2", access }));
    expect(problems).not.toEqual([]);
    expect(await ask()).toBe("403 RBAC: access denied");
  }
});

test("a provider that nobody knows refuses what it would be asked of", async () => {
  const { plane, ask } = await start();
  const custom = { action: "ACTION_CUSTOM", provider: "nobody", rules: [{}] };
  const access = { authorizationPolicies: [custom] };
  expect(await plane.apply(config({ version: "1", access }))).toEqual([]);
  expect(await ask()).toBe("403 RBAC: access denied");
});

test("TLS of a caller's own is a connection, and asked about as one", async () => {
  const { plane, passes } = await start();
  expect(await passes()).toBe(false);
  const toAdmin = { to: [{ paths: ["/admin"] }] };
  const policies: readonly (readonly [object, boolean])[] = [
    [{ action: "ACTION_DENY", rules: [toAdmin] }, false],
    [{ action: "ACTION_CUSTOM", provider: "x", rules: [toAdmin] }, false],
    [{ action: "ACTION_ALLOW", rules: [toAdmin] }, false],
    [{ action: "ACTION_ALLOW", rules: [{ from: [{ requestPrincipals: ["*"] }] }] }, false],
    [{ action: "ACTION_DENY", rules: [{ to: [{ ports: ["1"] }] }] }, true],
    [{ action: "ACTION_ALLOW", rules: [{}] }, true],
  ];
  for (const [index, [policy, isLetIn]] of policies.entries()) {
    const access = { authorizationPolicies: [policy] } as JsonObject;
    expect(await plane.apply(config({ version: `${index}`, access }))).toEqual([]);
    expect([policy, await passes()]).toEqual([policy, isLetIn]);
  }
});

test("tokens are asked for from the first configuration that has a rule, to the last", async () => {
  const { plane, ask } = await start();
  expect(await plane.apply(config({ version: "1" }))).toEqual([]);
  expect(await ask("garbage")).toBe("200 the application");
  const applied = plane.apply(config({ version: "2", access: { requestAuthentications } }));
  expect(applied).toBeInstanceOf(Promise);
  expect(await applied).toEqual([]);
  expect(await ask("garbage")).toStartWith("401 Jwt is not in the form");
  expect(await ask(issuer.token())).toBe("200 the application");
  expect(await ask()).toBe("200 the application");
  expect(plane.apply(config({ version: "3", access: {} }))).toEqual([]);
  expect(await ask("garbage")).toBe("200 the application");
});

test("an authorizer that is a service of the mesh is asked where that is", async () => {
  const { plane, ask } = await start();
  const opa = serve((request, reply) =>
    request.field("authorization") === undefined
      ? reply.respond(403, "who are you?")
      : reply.respond(200),
  );
  const access = {
    requestAuthentications: [
      { rules: [{ ...requestAuthentications[0]!.rules[0]!, forwardOriginalToken: true }] },
    ],
    authorizationPolicies: [{ action: 4, provider: "opa", rules: [{}] }],
    externalAuthorizers: [{ name: "opa", protocol: 1, service: "opa.default", port: 9191 }],
  };
  const named = { name: "opa", service: "opa.default", port: 9191 };
  const endpoints = [{ address: "127.0.0.1", port: opa.port }];
  const clusters = { clusters: [named], endpointSets: [{ cluster: "opa", endpoints }] };
  expect(await plane.apply(config({ version: "1", access, ...clusters }))).toEqual([]);
  expect(await ask()).toBe("403 who are you?");
  expect(await ask(issuer.token())).toBe("200 the application");
  expect(await ask("garbage")).toStartWith("401 ");
  expect(opa.requests.map(({ target }) => target)).toEqual(["/a", "/a"]);
});

test("keys that a service of the mesh has are fetched there, from the first on", async () => {
  const { plane, ask } = await start();
  const server = serve((_, reply) => reply.respond(200, issuer.keySet()));
  const service = "idp.default.svc.cluster.local";
  const rule = { issuer: issuer.name, jwksUri: `http://${service}/keys` };
  const applied = plane.apply(
    config({
      version: "1",
      clusters: [{ name: "idp", service, port: 80 }],
      endpointSets: [{ cluster: "idp", endpoints: [{ address: "127.0.0.1", port: server.port }] }],
      access: { requestAuthentications: [{ rules: [rule] }] },
    }),
  );
  expect(await applied).toEqual([]);
  expect(await ask(issuer.token())).toBe("200 the application");
  expect(server.requests[0]!.head).toStartWith(`GET /keys HTTP/1.1\r\nhost: ${service}\r\n`);
  expect(server.requests).toHaveLength(1);
});
