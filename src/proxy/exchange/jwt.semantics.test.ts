/** Tokens and external authorizers, from a client's socket to a service's. */
import { afterEach, describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  ExternalAuthorizerSchema,
  type JwtRuleSchema,
  RequestAuthenticationSchema,
} from "../../api/gen/mesh/v1/access_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import { accessLogText } from "../../testing/access-log-text.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { type FakeAccess, useAccess } from "../../testing/fake-access.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import { freePorts } from "../../testing/free-port.ts";
import { answerCall, grpcCall, grpcSetUp } from "../../testing/grpc-set-up.ts";
import { KeyServer, type KeyServerOptions } from "../../testing/key-server.ts";
import { TokenIssuer, text64 } from "../../testing/token-issuer.ts";
import type { AccessParts, AccessStep } from "../access/access-step.ts";
import { ExternalAuthorizerSteps } from "../access/ext-authz-steps.ts";
import { JwtSteps } from "../access/jwt-steps.ts";

type RuleInit = Exclude<MessageInitShape<typeof JwtRuleSchema>, { $typeName: unknown }>;
type AuthorizerInit = Exclude<
  MessageInitShape<typeof ExternalAuthorizerSchema>,
  { $typeName: unknown }
>;
type Mesh = Parameters<typeof useAccess>[0];

const setUp = engineSetUp();
const grpc = grpcSetUp();
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const now = (): number => Math.floor(Date.now() / 1_000);
const issuer = new TokenIssuer();
const rsa = new TokenIssuer(issuer.name, "RS256", "rsa");
const rule: RuleInit = {
  ...{ issuer: issuer.name, jwks: issuer.keySet(rsa.jwk()), audiences: ["shop"] },
};
const aud = "shop";
const good = issuer.token({ aud });

function partsOf(mesh: Mesh): AccessParts {
  const log = new Log("test", { level: "error" }, () => {});
  return { clock: systemClock, random: seededRandom(1), log, metrics: mesh.metrics };
}

function jwtStep(mesh: Mesh, ...rules: readonly RuleInit[]): AccessStep {
  const steps = new JwtSteps(partsOf(mesh));
  closers.push(() => steps.close());
  const origin = { object: "RequestAuthentication/default/jwt", file: "a.yaml", line: 2 };
  return steps.stepFor([create(RequestAuthenticationSchema, { origin, rules: [...rules] })]);
}

async function withTokens(
  rules: readonly RuleInit[],
  access: FakeAccess = {},
  ...rest: Parameters<typeof setUp>
) {
  const all = await setUp(...rest);
  const steps = [jwtStep(all.mesh, ...rules)];
  return { ...all, watch: useAccess(all.mesh, { steps, ...access }) };
}

const get = (...fields: readonly string[]): string =>
  `${["GET /a/b?c HTTP/1.1", "Host: svc", "x-request-id: id-1", ...fields].join("\r\n")}\r\n\r\n`;
const bearer = (token: string): string => `Authorization: Bearer ${token}`;
const REALM = "www-authenticate: Bearer realm=";

describe("what is no token for us, each on one connection that goes on", () => {
  const stranger = new TokenIssuer(issuer.name);
  const [header, payload, signature] = good.split(".") as [string, string, string];
  const forged = text64({ iss: issuer.name, sub: "root", aud });
  const noForm = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
  const unknownKey = "Jwks doesn't have key to match kid or alg from Jwt";
  const fails = "Jwt verification fails";
  const unsupported = "Jwt header [alg] is not supported";
  const nested = `{"iss":"${issuer.name}","a":${"[".repeat(5_000)}`;
  type Row = readonly [what: string, lines: readonly string[], text: string];
  const one = (what: string, token: string, text: string): Row => [what, [bearer(token)], text];
  const rows: readonly Row[] = [
    one("alg: none", issuer.token({ aud }, { alg: "none" }), unsupported),
    one("alg: none, unsigned", `${text64({ alg: "none" })}.${payload}.`, unsupported),
    one("alg: nOnE", issuer.token({ aud }, { alg: "nOnE" }), unsupported),
    one("HS256 by the public key of ES256", issuer.macToken({ aud }), unsupported),
    one("HS256 by the public key of RS256", rsa.macToken({ aud }), unsupported),
    one(
      "a wrong issuer",
      issuer.token({ aud, iss: "https://evil" }),
      "Jwt issuer is not configured",
    ),
    one("a wrong audience", issuer.token({ aud: "bank" }), "Audiences in Jwt are not allowed"),
    one("a wrong key", stranger.token({ aud }), fails),
    one("expired", issuer.token({ aud, exp: now() - 100 }), "Jwt is expired"),
    one("not yet valid", issuer.token({ aud, nbf: now() + 100 }), "Jwt not yet valid"),
    one("a tampered payload", `${header}.${forged}.${signature}`, fails),
    one(
      "a tampered header",
      `${text64({ alg: "ES256", kid: "key-1", x: 1 })}.${payload}.${signature}`,
      fails,
    ),
    one("no signature", `${header}.${payload}.`, fails),
    one("a signature of zeros", `${header}.${payload}.${"A".repeat(86)}`, fails),
    one("a huge token", `${header}.${payload}.${"A".repeat(20_000)}`, "Jwt is too long"),
    one(
      "nested garbage",
      `${header}.${text64(nested)}.${signature}`,
      "Jwt payload is an invalid JSON",
    ),
    one(
      "a token within a token",
      `${header}.${text64(good)}.${signature}`,
      "Jwt payload is an invalid JSON",
    ),
    one("crit", issuer.token({ aud }, { crit: ["exp"] }), "Jwt header [crit] is not supported"),
    one("no text at all", "", noForm),
    one("octets", "\xff\xfe.\x80.\x81", "Jwt header is an invalid Base64url encoded"),
    one("the kid of another key", issuer.token({ aud }, { kid: "rsa" }), unknownKey),
    one(
      "the kid of another key and its alg",
      issuer.token({ aud }, { kid: "rsa", alg: "RS256" }),
      fails,
    ),
    one("a kid that nobody has", issuer.token({ aud }, { kid: "../../etc/passwd" }), unknownKey),
    one("a key of its own", stranger.token({ aud }, { jwk: stranger.jwk() }), fails),
    one(
      "a claim twice",
      issuer.signParts(header, text64(`{"iss":"${issuer.name}","sub":"a","sub":"b","aud":"shop"}`)),
      "Jwt payload is an invalid JSON",
    ),
    ["two fields", [bearer(good), bearer(good)], "Found multiple Jwt tokens"],
    [
      "two fields, the second of which is bad",
      [bearer(good), bearer("x")],
      "Found multiple Jwt tokens",
    ],
    ["two in one field", [`${bearer(good)}, ${good}`], noForm],
  ];

  test.each(rows)("%s", async (_, lines, text) => {
    const { client, service, watch } = await withTokens([rule]);
    client.send(get(...lines));
    const { status, head, body } = await client.takeResponse();
    expect([status, body]).toEqual([401, text]);
    expect(head).toContain(`${REALM}"http://svc/a/b", error="invalid_token"\r\n`);
    expect(service.requests).toEqual([]);
    expect(watch.ring.list("id-1")).toMatchObject([
      ...[{ kind: "jwt", status: 401, by: "RequestAuthentication/default/jwt", rule: "rule 0" }],
    ]);
    // The same connection, with a token that is good.
    client.send(get(bearer(good)));
    expect((await client.takeResponse()).status).toBe(200);
  });
});

describe("a token that is good", () => {
  test("goes no further, and says who it is to rules of authorization", async () => {
    const rules = [{ from: [{ requestPrincipals: [`${issuer.name}/alice`] }] }];
    const claims = { outputClaimToHeaders: [{ header: "x-sub", claim: "sub" }] };
    const access = { policies: [{ rules }] };
    const { client, service } = await withTokens([{ ...rule, ...claims }], access);
    const answers: (readonly [number, string])[] = [];
    for (const token of [good, issuer.token({ aud, sub: "bob" }), good, undefined]) {
      client.send(get("x-sub: root", ...(token === undefined ? [] : [bearer(token)])));
      const { status, body } = await client.takeResponse();
      answers.push([status, body]);
    }
    const denied = [403, "RBAC: access denied"] as const;
    expect(answers).toEqual([[200, "ok"], denied, [200, "ok"], denied]);
    for (const { field } of service.requests)
      expect([field("authorization"), field("x-sub")]).toEqual([undefined, "alice"]);
  });

  test("leaves the path without it", async () => {
    const { client, service } = await withTokens([rule]);
    client.send(`GET /a?b=c&access_token=${good} HTTP/1.1\r\nHost: svc\r\n\r\n`);
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests[0]!.target).toBe("/a?b=c");
  });

  test("counts for each request on its own, not for the connection", async () => {
    const { client } = await withTokens([rule]);
    client.send(get(bearer(good)) + get(bearer("x")) + get() + get(bearer(good)));
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await client.takeResponse()).status);
    expect(statuses).toEqual([200, 401, 200, 200]);
  });

  test("over HTTP/2, and for calls of gRPC", async () => {
    const script: Parameters<typeof grpc.toService>[0] = (stream) => answerCall(stream, "", 0);
    const { mesh, client } = await grpc.toService(script);
    useAccess(mesh, { steps: [jwtStep(mesh, rule)] });
    const call = (token: string) =>
      client.request({ ...grpcCall, authorization: `Bearer ${token}` });
    expect((await call(good)).trailers?.["grpc-status"]).toBe("0");
    const refused = await call(issuer.token({ aud, exp: 5 }));
    expect([refused.status, refused.headers["grpc-status"]]).toEqual([200, "16"]);
    expect(refused.headers["grpc-message"]).toBe("Jwt is expired");
  });
});

describe("keys that have to be fetched", () => {
  const remote = async (answer: KeyServerOptions["answer"], timeoutMs = 5_000) => {
    const server = new KeyServer({ answer });
    closers.push(() => server.close());
    const jwksUri = `${server.origin}/jwks`;
    return { server, ...(await withTokens([{ issuer: issuer.name, jwksUri, timeoutMs }])) };
  };
  const failed = [401, "Jwks remote fetch is failed"];

  test("come while the first request waits, and those behind it", async () => {
    const { promise, resolve: answer } = Promise.withResolvers<Response>();
    const { client, server, connect } = await remote(() => promise);
    client.send(get(bearer(good)) + get());
    const other = await connect();
    other.send(get());
    expect((await other.takeResponse()).status).toBe(200);
    while (server.asked.length === 0) await Bun.sleep(1);
    answer(new Response(issuer.keySet()));
    expect((await client.takeResponse()).status).toBe(200);
    expect((await client.takeResponse()).status).toBe(200);
  });

  type Row = readonly [what: string, answer: KeyServerOptions["answer"]];
  const rows: readonly Row[] = [
    ["down", () => new Response("", { status: 500 })],
    ["slow", () => new Promise<Response>(() => {})],
    [
      "slow in the midst",
      () => new Response(new ReadableStream({ pull: () => Bun.sleep(60_000) })),
    ],
    ["talking garbage", () => "\0\xff<html>"],
    ["huge", () => `${issuer.keySet()}${" ".repeat(4 * 1024 * 1024)}`],
  ];
  test.each(rows)(
    "from a server that is %s: 401, and those without a token pass",
    async (_, answer) => {
      const { client, server, mesh } = await remote(answer, 100);
      client.send(get(bearer(good)));
      const { status, body } = await client.takeResponse();
      expect([status, body]).toEqual(failed as [number, string]);
      client.send(get());
      expect((await client.takeResponse()).status).toBe(200);
      expect(server.asked.length).toBeGreaterThan(0);
      expect(mesh.scrape()).toMatch(/mesh_jwks_fetches_total\{.*result="failed"\} [1-9]/);
    },
  );

  test("from nobody", async () => {
    const [port] = freePorts(1);
    const jwksUri = `http://127.0.0.1:${port}/`;
    const { client } = await withTokens([{ issuer: issuer.name, jwksUri }]);
    client.send(get(bearer(good)));
    const { status, body } = await client.takeResponse();
    expect([status, body]).toEqual(failed as [number, string]);
  });

  test("a client that goes while it waits leaves nothing behind", async () => {
    const { client, connect, server } = await remote(() => new Promise<Response>(() => {}), 300);
    client.send(get(bearer(good)));
    while (server.asked.length === 0) await Bun.sleep(1);
    client.terminate();
    const other = await connect();
    other.send(get(bearer(good)));
    expect((await other.takeResponse()).status).toBe(401);
  });
});

describe("an external authorizer", () => {
  const custom = [{ action: "CUSTOM", provider: "opa", rules: [{}] }] as const;
  const withAuthorizer = async (script: FakeScript, changes: AuthorizerInit = {}) => {
    const opa = new FakeUpstream({ script });
    const all = await setUp();
    const steps = new ExternalAuthorizerSteps(partsOf(all.mesh));
    closers.push(
      () => opa.close(),
      () => steps.close(),
    );
    const authorizer = steps.stepFor(
      create(ExternalAuthorizerSchema, {
        ...{ name: "opa", service: "127.0.0.1", port: opa.port, protocol: 1, timeoutMs: 5_000 },
        ...changes,
      }),
    );
    const access = { policies: custom, authorizer, steps: [jwtStep(all.mesh, rule)] };
    return { ...all, opa, watch: useAccess(all.mesh, access) };
  };

  test("lets pass what it likes, with fields of its own", async () => {
    const { client, service, opa } = await withAuthorizer(
      (_, reply) => reply.respond(200, "", { "x-user": "bob" }),
      { headersToUpstreamOnAllow: ["x-user"], includeRequestHeaders: ["x-team"] },
    );
    client.send(get("x-team: a", "x-user: root"));
    expect((await client.takeResponse()).status).toBe(200);
    expect(opa.requests[0]!.head).toStartWith("GET /a/b?c HTTP/1.1\r\nhost: svc\r\n");
    expect(opa.requests[0]!.field("x-team")).toBe("a");
    expect(service.requests[0]!.field("x-user")).toBe("bob");
  });

  test("says what its denial is", async () => {
    const { client, service, watch } = await withAuthorizer((_, reply) =>
      reply.respond(302, "go there", { location: "/login" }),
    );
    client.send(get());
    const { status, head, body } = await client.takeResponse();
    expect([status, body]).toEqual([302, "go there"]);
    expect(head).toContain("location: /login\r\n");
    expect(service.requests).toEqual([]);
    expect(watch.ring.list("id-1")).toMatchObject([{ kind: "ext-authz", status: 302 }]);
  });

  test("is not asked about tokens that are bad", async () => {
    const { client, opa } = await withAuthorizer((_, reply) => reply.respond(200));
    client.send(get(bearer("x")));
    expect((await client.takeResponse()).status).toBe(401);
    expect(opa.requests).toEqual([]);
  });

  test("that does not answer lets nobody in, unless its provider says so", async () => {
    for (const [changes, status] of [
      [{}, 403],
      [{ statusOnError: 503 }, 503],
      [{ failOpen: true }, 200],
    ] as const) {
      const { client } = await withAuthorizer(() => {}, { timeoutMs: 50, ...changes });
      client.send(get());
      expect((await client.takeResponse()).status).toBe(status);
    }
  });
});

test("a token in a parameter that is refused is in no log", async () => {
  const { accessLog, read } = accessLogText();
  const fromParams = ["t", "u"];
  const { client, watch } = await withTokens([{ ...rule, fromParams }], {}, undefined, {
    accessLog,
  });
  const expired = issuer.token({ aud, exp: now() - 100 });
  client.send(`GET /a?x=1&t=${expired}&%75=${good}&y=2 HTTP/1.1\r\nHost: svc\r\n\r\n`);
  expect((await client.takeResponse()).status).toBe(401);
  await accessLog.close();
  expect(JSON.parse(read())).toMatchObject({ path: "/a?x=1&y=2", response_code: 401 });
  const [header = ""] = good.split(".");
  expect(read()).not.toContain(header);
  expect(JSON.stringify(watch.ring.list(""))).not.toContain(header);
});
