/** Tokens of an issuer that the operator named; its server says where its keys are. */
import { afterEach, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { openIdentity } from "../../testing/identity-set-up.ts";
import { type JsonFields, TokenIssuer } from "../../testing/token-issuer.ts";
import { OidcToken } from "./oidc-token.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Served {
  keys: readonly JsonFields[];
}

/** An issuer whose server publishes `keys`, which may change. */
function open(claim = "sub") {
  const served: Served = { keys: [] };
  const server = Bun.serve({
    ...{ port: 0, hostname: "127.0.0.1" },
    fetch(request) {
      const { pathname, origin } = new URL(request.url);
      if (pathname === "/keys") return Response.json({ keys: served.keys });
      return Response.json({ issuer: origin, jwks_uri: `${origin}/keys` });
    },
  });
  const issuer = new TokenIssuer(`http://127.0.0.1:${server.port}`);
  served.keys = [issuer.jwk()];
  const token = new OidcToken({
    ...{ issuer: issuer.name, audience: "mesh", claim, trustDomain: "cluster.local" },
    ...{ clock: systemClock, random: () => 0.5, metrics: new Metrics() },
    log: new Log("oidc", { level: "error" }, () => {}),
  });
  const set = openIdentity({ jwts: [token] });
  closing.push(
    () => set.close(),
    () => token.close(),
    () => void server.stop(true),
  );
  return { issuer, served, set };
}

const inAnHour = (): number => Math.floor(Date.now() / 1_000) + 3_600;
const good = (): JsonFields => ({ aud: "mesh", exp: inAnHour(), sub: "default/reviews" });

test("whoever the token is of gets a certificate, for himself", async () => {
  const { issuer, set } = open();
  const ask = (claims: JsonFields, service = "reviews"): Promise<string> =>
    set.issue({ credential: { kind: "jwt", text: issuer.token(claims) }, service });
  expect(await ask(good())).toBe("issued");
  const id = "spiffe://cluster.local/ns/default/sa/reviews";
  expect(set.identity.issued.list(1)).toMatchObject([{ identity: id }]);
  expect(await ask({ ...good(), sub: id })).toBe("issued");
  expect(await ask({ ...good(), sub: "system:serviceaccount:default:reviews" })).toBe("issued");
  expect(await ask({ ...good(), aud: ["x", "mesh"] })).toBe("issued");
  expect(await ask(good(), "ratings")).toStartWith("denied: ");
});

test("and nobody whose token is not good, or not for us", async () => {
  const { issuer, set } = open();
  const ask = (text: string): Promise<string> => set.issue({ credential: { kind: "jwt", text } });
  const claims = good();
  const past = Math.floor(Date.now() / 1_000) - 3_600;
  const rows: readonly (readonly [text: string, refusal: string])[] = [
    [issuer.token({ ...claims, aud: "others" }), "Audiences in Jwt are not allowed"],
    [issuer.token({ ...claims, aud: undefined }), "Audiences in Jwt are not allowed"],
    [issuer.token({ ...claims, exp: past }), "Jwt is expired"],
    [issuer.token({ ...claims, exp: undefined }), "it never expires"],
    [issuer.token({ ...claims, nbf: inAnHour() }), "Jwt not yet valid"],
    [issuer.token({ ...claims, sub: "alice" }), "sub is no workload"],
    [issuer.token({ ...claims, sub: "spiffe://evil/ns/default/sa/reviews" }), "sub is no workload"],
    [issuer.token({ ...claims, sub: undefined }), "sub is no workload"],
    [issuer.token({ ...claims, iss: "https://others" }), "no issuer of such tokens"],
    [issuer.token(claims, { alg: "none" }), "Jwt header [alg] is not supported"],
    [issuer.macToken(claims), "Jwt header [alg] is not supported"],
    [new TokenIssuer(issuer.name).token(claims), "Jwt verification fails"],
    [new TokenIssuer(issuer.name, "ES256", "other").token(claims), "with an unknown key"],
    [issuer.token(claims).replace(/\.[^.]+$/, ".AAAA"), "Jwt"],
  ];
  for (const [text, refusal] of rows) {
    const result = await ask(text);
    expect(result).toStartWith("unauthenticated: ");
    expect(result).toContain(refusal);
  }
});

test("another claim may say who it is", async () => {
  const { issuer, set } = open("workload");
  const text = issuer.token({ ...good(), sub: "alice", workload: "default/reviews" });
  expect(await set.issue({ credential: { kind: "jwt", text } })).toBe("issued");
});

test("an issuer whose server has no keys makes everybody wait, and is nobody's fault", async () => {
  const { issuer, served, set } = open();
  served.keys = [];
  const credential = { kind: "jwt", text: issuer.token(good()) } as const;
  expect(await set.issue({ credential })).toStartWith("unavailable: ");
});
