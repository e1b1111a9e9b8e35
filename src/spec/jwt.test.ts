/** Tokens of people in a running mesh: rules from the manager, keys from an issuer's server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { FakeUpstream } from "../testing/fake-upstream.ts";
import { KeyServer } from "../testing/key-server.ts";
import { TokenIssuer } from "../testing/token-issuer.ts";
import {
  get,
  type ManagerPorts,
  managerPorts,
  managerUrl,
  type Sidecar,
  startManager,
  startSidecar,
  untilKnown,
} from "./mesh.ts";
import { ctl, Stage, until } from "./process.ts";

const stage = new Stage();
const HOST = "shop:9080";
const issuer = new TokenIssuer("https://id.example", "ES256", "first");
const next = new TokenIssuer(issuer.name, "RS256", "second");
const keys = new KeyServer({ answer: () => issuer.keySet() });
/** What the application was sent. */
const shop = new FakeUpstream();
let ports: ManagerPorts;
let web: Sidecar;
let callee: Sidecar;

const atManager = (): string[] => ["--manager", managerUrl(ports)];

beforeAll(async () => {
  ports = managerPorts();
  await startManager(stage, ports);
  callee = await startSidecar(stage, [
    ...[...atManager(), "--service", "shop.default", "--labels", "app=shop"],
    ...["--app-port", String(shop.port), "--service-port", "9080"],
  ]);
  web = await startSidecar(stage, [...atManager(), "--service", "web.default"]);
  await untilKnown(web, "shop");
  const rules = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: people, namespace: default }
spec:
  selector: { matchLabels: { app: shop } }
  jwtRules:
  - issuer: ${issuer.name}
    audiences: [shop]
    jwksUri: ${keys.origin}/keys
    outputClaimToHeaders: [{ header: x-user, claim: sub }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: people, namespace: default }
spec:
  selector: { matchLabels: { app: shop } }
  rules:
  - from: [{ source: { requestPrincipals: ["${issuer.name}/*"] } }]
    when: [{ key: "request.auth.claims[groups]", values: [buyers] }]
`;
  const file = stage.file("people.yaml", rules);
  const { code, err } = await ctl("apply", ...atManager(), "-f", file);
  expect([err, code]).toEqual(["", 0]);
  await until("the rules to be in force", async () => (await ask()).status === 403);
}, 90_000);

afterAll(async () => {
  keys.close();
  shop.close();
  await stage.close();
});

const ask = (token?: string, headers: Readonly<Record<string, string>> = {}) =>
  get(web.outbound, HOST, "/cart", {
    ...headers,
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  });
const claims = { aud: "shop", groups: ["readers", "buyers"] };

test("who brings a good token is somebody, and the application is told who", async () => {
  const { status } = await ask(issuer.token(claims), { "x-user": "root" });
  expect(status).toBe(200);
  const { field } = shop.requests.at(-1)!;
  expect([field("x-user"), field("authorization")]).toEqual(["alice", undefined]);
});

test("who brings a bad one gets 401, and none of it reaches the application", async () => {
  const before = shop.requests.length;
  const bad = [
    [issuer.macToken(claims), "Jwt header [alg] is not supported"],
    [issuer.token({ ...claims, exp: 5 }), "Jwt is expired"],
    [issuer.token({ ...claims, aud: "bank" }), "Audiences in Jwt are not allowed"],
    [issuer.token({ ...claims, iss: "https://evil" }), "Jwt issuer is not configured"],
    [new TokenIssuer(issuer.name, "ES256", "first").token(claims), "Jwt verification fails"],
  ] as const;
  for (const [token, text] of bad) {
    const { status, body, headers } = await ask(token);
    expect([status, body]).toEqual([401, text]);
    expect(headers.get("www-authenticate")).toBe(
      `Bearer realm="http://${HOST}/cart", error="invalid_token"`,
    );
  }
  expect(shop.requests.length).toBe(before);
});

test("who brings none, or one without the claim, is refused by the policy", async () => {
  expect((await ask()).status).toBe(403);
  const { status, body } = await ask(issuer.token({ aud: "shop", groups: ["readers"] }));
  expect([status, body]).toEqual([403, "RBAC: access denied"]);
});

test("the manager says why", async () => {
  const token = issuer.token({ ...claims, exp: 5 });
  await ask(token, { "x-request-id": "late" });
  const { code, out } = await ctl("explain", "denial", "late", ...atManager());
  expect(code).toBe(0);
  expect(out).toContain("RequestAuthentication/default/people");
  expect(out).toMatch(/the token expired \d+ s ago/);
  expect(out).not.toContain(token.slice(0, 40));
});

test("a new key of the issuer is good with its first token", async () => {
  keys.answer = () => issuer.keySet(next.jwk());
  const token = next.token(claims);
  await until("the key to be asked for again", async () => (await ask(token)).status === 200);
  expect((await ask(issuer.token(claims))).status).toBe(200);
});

test("what it did is in the metrics", async () => {
  const page = await fetch(`http://127.0.0.1:${callee.admin}/stats/prometheus`);
  const text = await page.text();
  expect(text).toMatch(/mesh_jwt_tokens_total\{result="verified"\} [1-9]/);
  expect(text).toMatch(/mesh_jwt_tokens_total\{result="expired"\} [1-9]/);
  expect(text).toMatch(/mesh_jwks_fetches_total\{[^}]*result="ok"\} 2/);
});
