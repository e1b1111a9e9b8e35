/** RequestAuthentication, as whoever writes one expects it. */
import { afterEach, describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type JwtRuleSchema,
  RequestAuthenticationSchema,
} from "../../api/gen/mesh/v1/access_pb.ts";
import { Log } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { accessRequest, passedOn, type RequestOptions } from "../../testing/access-request.ts";
import { TokenIssuer } from "../../testing/token-issuer.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { AccessPass, AccessRefusal, AccessRequest, AccessStep } from "./access-step.ts";
import { JwtSteps } from "./jwt-steps.ts";

type RuleInit = Exclude<MessageInitShape<typeof JwtRuleSchema>, { $typeName: unknown }>;

const nowMs = Date.UTC(2026, 0, 1);
const now = nowMs / 1_000;
const issuer = new TokenIssuer();
const other = new TokenIssuer("https://other.example", "RS256");
const byIssuer: RuleInit = { issuer: issuer.name, jwks: issuer.keySet() };
const byOther: RuleInit = { issuer: other.name, jwks: other.keySet() };
const bearer = (token: string): string => `authorization: Bearer ${token}`;

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function steps(metrics = new Metrics()): JwtSteps {
  const clock = new VirtualClock(nowMs);
  const log = new Log("test", { level: "error" }, () => {});
  const made = new JwtSteps({ clock, random: seededRandom(1), log, metrics });
  closers.push(() => made.close());
  return made;
}

function policy(...rules: readonly RuleInit[]) {
  const origin = { object: "RequestAuthentication/default/jwt", file: "rules/a.yaml", line: 4 };
  return create(RequestAuthenticationSchema, { origin, rules: [...rules] });
}

const stepOf = (...rules: readonly RuleInit[]): AccessStep => steps().stepFor([policy(...rules)]);

function ask(step: AccessStep, request: AccessRequest): AccessPass | AccessRefusal | undefined {
  const answer = step.ask(request, { answered: () => expect.unreachable() });
  if (answer?.at === "waiting") throw new Error("it waits");
  return answer;
}

/** Who it is, or what the outside is told. */
function outcome(step: AccessStep, request: AccessRequest): string {
  const answer = ask(step, request);
  if (answer === undefined) return "nobody";
  if (answer.at === "refused") return `${answer.status} ${answer.body}`;
  return answer.token?.principal ?? "nobody";
}

const good = issuer.token();
const alice = `${issuer.name}/alice`;
const several = "401 Found multiple Jwt tokens";
const noForm =
  "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";

type Row = readonly [what: string, line: string, fields: readonly string[], result: string];

describe("where a token is looked for unless told", () => {
  const step = stepOf(byIssuer);
  const rows: readonly Row[] = [
    ["nothing", "GET /", [], "nobody"],
    ["a bearer's", "GET /", [bearer(good)], alice],
    ["a scheme in other case", "GET /", [`Authorization: bearer ${good}`], alice],
    ["more space", "GET /", [`authorization:  BEARER   ${good} `], alice],
    ["a parameter", `GET /?access_token=${good}`, [], alice],
    ["a parameter among others", `GET /a?b=c&access_token=${good}&d`, [], alice],
    ["another scheme", "GET /", ["authorization: Basic YTpi"], "nobody"],
    ["a parameter with its name escaped", `GET /?%61ccess%5Ftoken=${good}`, [], alice],
    ["a bad one with its name escaped", "GET /?a&access_toke%6e=x", [], noForm],
    ["two, of which one is escaped", `GET /?access_token=${good}&access%5ftoken=x`, [], several],
    ["half an escape", "GET /?access%5=x&access_token%3=x", [], "nobody"],
    ["another parameter", `GET /?token=${good}`, [], "nobody"],
    ["a parameter that ends so", `GET /?my_access_token=${good}`, [], "nobody"],
    ["a longer parameter", `GET /?access_tokens=${good}`, [], "nobody"],
    ["the path", `GET /access_token=${good}`, [], "nobody"],
    ["a cookie", "GET /", [`cookie: access_token=${good}`], "nobody"],
    ["an empty bearer", "GET /", ["authorization: Bearer"], noForm],
    ["an empty parameter", "GET /?access_token=", [], noForm],
    ["a scheme without its space", "GET /", [`authorization: Bearer${good}`], "nobody"],
    ["two fields", "GET /", [bearer(good), bearer(good)], several],
    ["two fields of different schemes", "GET /", ["authorization: Basic a", bearer(good)], several],
    ["two in one field", "GET /", [`${bearer(good)}, Bearer ${good}`], noForm],
    ["two parameters", `GET /?access_token=${good}&access_token=x`, [], several],
    ["a field and a parameter", `GET /?access_token=${good}`, [bearer(good)], alice],
    ["a good field and a bad parameter", "GET /?access_token=x", [bearer(good)], noForm],
    ["a bad field and a good parameter", `GET /?access_token=${good}`, [bearer("x")], noForm],
    [
      "a preflight",
      "OPTIONS /",
      ["origin: https://a", "access-control-request-method: PUT"],
      "nobody",
    ],
  ];
  test.each(rows)("%s", (_, line, fields, result) => {
    expect(outcome(step, accessRequest(line, fields))).toBe(result);
    // And so it is with tokens that are known by now.
    expect(outcome(step, accessRequest(line, fields))).toBe(result);
  });
});

describe("where a rule says", () => {
  const rule: RuleInit = {
    ...byIssuer,
    fromHeaders: [
      { name: "X-Jwt", prefix: "" },
      { name: "x-other", prefix: "jwt " },
    ],
    fromParams: ["t"],
    fromCookies: ["session"],
  };
  const step = stepOf(rule);
  const rows: readonly Row[] = [
    ["its field", "GET /", [`x-jwt: ${good}`], alice],
    ["its field, empty", "GET /", ["x-jwt:"], noForm],
    ["its field with a prefix", "GET /", [`X-Other: JWT ${good}`], alice],
    ["its field without the prefix", "GET /", [`x-other: ${good}`], "nobody"],
    ["its parameter", `GET /?t=${good}`, [], alice],
    ["its cookie", "GET /", [`cookie: a=b; session=${good};c=d`], alice],
    ["its cookie in quotes", "GET /", [`cookie: session="${good}"`], alice],
    ["its cookie in a second field", "GET /", ["cookie: a=b", `cookie: session=${good}`], alice],
    ["a cookie that ends so", "GET /", [`cookie: xsession=${good}`], "nobody"],
    ["two cookies", "GET /", [`cookie: session=${good}; session=x`], several],
    [
      "two cookies in two fields",
      "GET /",
      ["cookie: session=x", `cookie: session=${good}`],
      several,
    ],
    ["the usual places no more", `GET /?access_token=${good}`, [bearer("garbage")], "nobody"],
  ];
  test.each(rows)("%s", (_, line, fields, result) => {
    expect(outcome(step, accessRequest(line, fields))).toBe(result);
  });
});

describe("what is refused, and what the outside is told", () => {
  const rule = { ...byIssuer, audiences: ["shop"] };
  const step = stepOf(rule);
  const stranger = new TokenIssuer(issuer.name);
  const tampered = good.replace(
    /\.[^.]+\./,
    `.${Buffer.from('{"iss":"x"}').toString("base64url")}.`,
  );
  const rows: readonly (readonly [what: string, token: string, text: string])[] = [
    ["garbage", "garbage", noForm.slice(4)],
    ["alg: none", issuer.token({}, { alg: "none" }), "Jwt header [alg] is not supported"],
    ["HS256 by the public key", issuer.macToken(), "Jwt header [alg] is not supported"],
    ["another issuer", issuer.token({ iss: "https://evil" }), "Jwt issuer is not configured"],
    ["another payload", tampered, "Jwt issuer is not configured"],
    ["another key", stranger.token({ aud: "shop" }), "Jwt verification fails"],
    ["another audience", issuer.token({ aud: "bank" }), "Audiences in Jwt are not allowed"],
    ["expired", issuer.token({ aud: "shop", exp: now - 100 }), "Jwt is expired"],
    ["not yet valid", issuer.token({ aud: "shop", nbf: now + 100 }), "Jwt not yet valid"],
    [
      "a key that nobody has",
      issuer.token({ aud: "shop" }, { kid: "key-9" }),
      "Jwks doesn't have key to match kid or alg from Jwt",
    ],
  ];
  test.each(rows)("%s", (_, token, text) => {
    const answer = ask(step, accessRequest("GET /a/b?c", [bearer(token)]));
    expect(answer).toMatchObject({
      ...{ at: "refused", status: 401, body: text, contentType: "" },
      lines: 'www-authenticate: Bearer realm="http://shop.example/a/b", error="invalid_token"\r\n',
      failure: { flag: "UAEX", grpc: 16 },
    });
    const { by } = answer as AccessRefusal;
    expect(by).toMatchObject({
      ...{ object: "RequestAuthentication/default/jwt", rule: "rule 0", place: "rules/a.yaml:4" },
    });
    expect(by.reason).not.toContain(token.slice(0, 20));
  });

  test("operators are told more", () => {
    const reason = (claims: object): string => {
      const token = issuer.token({ aud: "shop", ...claims });
      const answer = ask(step, accessRequest("GET /", [bearer(token)])) as AccessRefusal;
      return answer.by.reason;
    };
    expect(reason({ exp: now - 100 })).toBe("the token expired 100 s ago");
    expect(reason({ nbf: now + 100 })).toBe("the token is valid in 100 s");
    expect(reason({ iss: "x" })).toBe("Jwt issuer is not configured, in header authorization");
  });

  test("what was asked for is quoted without harm", () => {
    const answer = ask(step, accessRequest('GET /"a\\', [bearer("x")])) as AccessRefusal;
    expect(answer.lines).toContain('realm="http://shop.example/a"');
    const long = ask(step, accessRequest(`GET /${"a".repeat(999)}`, [bearer("x")]));
    expect((long as AccessRefusal).lines.length).toBeLessThan(350);
  });
});

describe("several rules", () => {
  test("tokens of several issuers", () => {
    const step = stepOf(byIssuer, byOther);
    expect(outcome(step, accessRequest("GET /", [bearer(good)]))).toBe(alice);
    const bob = other.token({ sub: "bob" });
    expect(outcome(step, accessRequest("GET /", [bearer(bob)]))).toBe(`${other.name}/bob`);
    const forged = other.token({ iss: issuer.name });
    const unknown = "401 Jwks doesn't have key to match kid or alg from Jwt";
    expect(outcome(step, accessRequest("GET /", [bearer(forged)]))).toBe(unknown);
  });

  test("one issuer, by the audience or by the key", () => {
    const renewed = new TokenIssuer(issuer.name);
    const step = stepOf(
      { ...byIssuer, audiences: ["a"] },
      { ...byIssuer, audiences: ["b"] },
      { ...byIssuer, jwks: renewed.keySet() },
    );
    expect(outcome(step, accessRequest("GET /", [bearer(issuer.token({ aud: "b" }))]))).toBe(alice);
    expect(outcome(step, accessRequest("GET /", [bearer(renewed.token())]))).toBe(alice);
    const neither = issuer.token({ aud: "c" });
    const text = "401 Audiences in Jwt are not allowed";
    expect(outcome(step, accessRequest("GET /", [bearer(neither)]))).toBe(text);
  });

  test("each at its own place, and the first says who it is", () => {
    const step = stepOf(byIssuer, { ...byOther, fromHeaders: [{ name: "x-jwt", prefix: "" }] });
    const both = [`x-jwt: ${other.token({ sub: "bob" })}`, bearer(good)];
    expect(outcome(step, accessRequest("GET /", both))).toBe(alice);
    expect(outcome(step, accessRequest("GET /", both.slice(0, 1)))).toBe(`${other.name}/bob`);
    const misplaced = accessRequest("GET /", [`x-jwt: ${good}`]);
    expect(outcome(step, misplaced)).toBe("401 Jwt issuer is not configured");
    const bad = accessRequest("GET /", [bearer(good), "x-jwt: x"]);
    expect(outcome(step, bad)).toBe(noForm);
  });

  test("without an issuer: whoever signs with its keys", () => {
    const step = stepOf({ ...byIssuer, issuer: "" }, byOther);
    expect(outcome(step, accessRequest("GET /", [bearer(good)]))).toBe(alice);
    const named = issuer.token({ iss: "https://another" });
    expect(outcome(step, accessRequest("GET /", [bearer(named)]))).toBe("https://another/alice");
    const bob = other.token({ sub: "bob" });
    expect(outcome(step, accessRequest("GET /", [bearer(bob)]))).toBe(`${other.name}/bob`);
    const stranger = new TokenIssuer().token();
    expect(outcome(step, accessRequest("GET /", [bearer(stranger)]))).toStartWith("401 ");
  });

  test("of two tokens that would both have to be taken out of one field none is believed", () => {
    const step = stepOf({ ...byIssuer, fromCookies: ["a"] }, { ...byOther, fromCookies: ["b"] });
    const bob = other.token({ sub: "bob" });
    const cookie = (text: string) => accessRequest("GET /", [`cookie: ${text}`]);
    expect(outcome(step, cookie(`b=${bob}`))).toBe(`${other.name}/bob`);
    expect(outcome(step, cookie(`a=${good}; b=${bob}`))).toBe(several);
  });

  test("of several objects", () => {
    const step = steps().stepFor([policy(byIssuer), policy(byOther)]);
    expect(outcome(step, accessRequest("GET /", [bearer(good)]))).toBe(alice);
  });

  test("none at all", () => {
    for (const policies of [[], [policy()]])
      expect(outcome(steps().stepFor(policies), accessRequest("GET /", [bearer("x")]))).toBe(
        "nobody",
      );
  });
});

describe("what goes on", () => {
  const sent = (rule: RuleInit, line: string, fields: readonly string[]): string[] => {
    const step = stepOf({ ...byIssuer, ...rule });
    const send = (): string[] => {
      const request = accessRequest(line, fields);
      const answer = ask(step, request);
      if (answer?.at === "refused") throw new Error(answer.body);
      return passedOn(request, answer);
    };
    const lines = send();
    expect(send()).toEqual(lines);
    return lines;
  };
  const kept = { forwardOriginalToken: true };

  test("the token goes no further", () => {
    expect(sent({}, "GET /?a=b", ["x: 1", bearer(good), "y: 2"])).toEqual([
      ...["GET /?a=b", "x: 1", "y: 2"],
    ]);
    expect(sent({}, `GET /a?access_token=${good}`, [])).toEqual(["GET /a"]);
    expect(sent({}, `GET /a?b=c&access_token=${good}&d`, [])).toEqual(["GET /a?b=c&d"]);
    const cookies = [`cookie: a=b;  session=${good} ; c=d`, "cookie: e=f"];
    const fromCookies = ["session"];
    expect(sent({ fromCookies }, "GET /", cookies)).toEqual(["GET /", "cookie: a=b; c=d; e=f"]);
    expect(sent({ fromCookies }, "GET /", [`cookie: session=${good}`])).toEqual(["GET /"]);
  });

  test("unless the rule says so", () => {
    expect(sent(kept, "GET /", [bearer(good)])).toEqual(["GET /", bearer(good)]);
    const line = `GET /?access_token=${good}`;
    expect(sent(kept, line, [])).toEqual([line]);
  });

  test("the rest of a query is that of the request, though the token is known", () => {
    const step = stepOf(byIssuer);
    for (const rest of ["a=1", "b=2", "b=3"]) {
      const request = accessRequest(`GET /?access_token=${good}&${rest}`);
      expect(passedOn(request, ask(step, request) as AccessPass)).toEqual([`GET /?${rest}`]);
    }
  });

  test("another scheme's credentials are not ours to take away", () => {
    expect(sent({}, "GET /", ["authorization: Basic YTpi"])).toEqual([
      ...["GET /", "authorization: Basic YTpi"],
    ]);
  });

  test("with its payload in a field, and nobody else's", () => {
    const rule = { ...kept, outputPayloadToHeader: "X-Payload" };
    const payload = good.split(".")[1];
    const lines = ["GET /", bearer(good), `x-payload: ${payload}`];
    expect(sent(rule, "GET /", [bearer(good)])).toEqual(lines);
    expect(sent(rule, "GET /", ["X-Payload: forged", bearer(good), "x-payload: x"])).toEqual(lines);
    expect(sent(rule, "GET /", ["x-payload: forged", "a: b"])).toEqual(["GET /", "a: b"]);
    // Applications that know fields as variables do not tell these apart.
    for (const alike of ["x_payload", "X_Payload"]) {
      expect(sent(rule, "GET /", [`${alike}: forged`, bearer(good)])).toEqual(lines);
      expect(sent(rule, "GET /", [`${alike}: forged`, "a: b"])).toEqual(["GET /", "a: b"]);
    }
  });

  test("with claims in fields, as far as they are plain", () => {
    const claims = {
      ...{ text: "a b", number: 7, yes: true, list: ["a"], object: { deep: { er: "x" } } },
      ...{
        "a.b": "whole",
        a: { b: "nested" },
        control: "a\r\nx-evil: 1",
        nothing: null,
        empty: "",
      },
    };
    const names = [
      ...["text", "number", "yes", "list", "object", "object.deep.er", "object.none", "a.b"],
      ...["control", "nothing", "empty", "none", "constructor", "__proto__.x"],
    ];
    const outputClaimToHeaders = names.map((claim, i) => ({ header: `X-${i}`, claim }));
    const forged = names.map((_, i) => `x-${i}: forged`);
    const fields = [...forged, bearer(issuer.token(claims))];
    expect(sent({ outputClaimToHeaders }, "GET /", fields)).toEqual([
      ...["GET /", "x-0: a b", "x-1: 7", "x-2: true", "x-5: x", "x-7: whole", "x-10: "].map(
        (line) => line.trimEnd(),
      ),
    ]);
  });

  test("fields that another rule writes are not believed either", () => {
    const step = stepOf(byIssuer, { ...byOther, outputPayloadToHeader: "x-other" });
    const request = accessRequest("GET /", ["x-other: forged", bearer(good)]);
    expect(passedOn(request, ask(step, request) as AccessPass)).toEqual(["GET /"]);
    const preflight = accessRequest("OPTIONS /", [
      ...["origin: https://a", "access-control-request-method: PUT", "x-other: forged"],
    ]);
    expect(passedOn(preflight, ask(step, preflight) as AccessPass)).not.toContain(
      "x-other: forged",
    );
  });
});

describe("tokens that are known", () => {
  const result = (name: string): string => `mesh_jwt_tokens_total{result="${name}"}`;

  test("are verified once", () => {
    const metrics = new Metrics();
    const step = steps(metrics).stepFor([policy(byIssuer)]);
    for (let i = 0; i < 5; i++)
      expect(outcome(step, accessRequest("GET /", [bearer(good)]))).toBe(alice);
    expect(outcome(step, accessRequest("GET /", [bearer("x")]))).toBe(noForm);
    const lines = renderPrometheus([metrics]).split("\n");
    expect(lines).toContain(`${result("verified")} 1`);
    expect(lines).toContain(`${result("known")} 4`);
    expect(lines).toContain(`${result("notCompact")} 1`);
  });

  test("expire all the same", () => {
    const step = stepOf(byIssuer);
    const token = issuer.token({ exp: now + 10 });
    const at = (ms: number): string => {
      const options: RequestOptions = { wallMs: nowMs + ms };
      return outcome(step, accessRequest("GET /", [bearer(token)], options));
    };
    expect(at(0)).toBe(alice);
    expect(at(69_999)).toBe(alice);
    expect(at(70_000)).toBe("401 Jwt is expired");
    expect(at(70_001)).toBe("401 Jwt is expired");
  });

  test("are not taken for others that end alike", () => {
    const step = stepOf(byIssuer);
    expect(outcome(step, accessRequest("GET /", [bearer(good)]))).toBe(alice);
    const [header, , signature] = good.split(".") as [string, string, string];
    const payload = Buffer.from(JSON.stringify({ iss: issuer.name, sub: "root1" }));
    const forged = `${header}.${payload.toString("base64url")}.${signature}`;
    expect(forged.length - good.length).toBeLessThan(3);
    const fails = "401 Jwt verification fails";
    expect(outcome(step, accessRequest("GET /", [bearer(forged)]))).toBe(fails);
    const same = Buffer.from(JSON.stringify({ iss: issuer.name, sub: "malice".slice(1) }));
    const equal = `${header}.${same.toString("base64url")}.${signature}`;
    expect(equal.length).toBe(good.length - 0);
    const flipped = good.replace(/\.(.)/, (_, first) => `.${first === "e" ? "f" : "e"}`);
    expect(outcome(step, accessRequest("GET /", [bearer(flipped)]))).toStartWith("401 ");
  });

  test("are known to a rule of the same words, and to no other", () => {
    const metrics = new Metrics();
    const maker = steps(metrics);
    const first = maker.stepFor([policy(byIssuer)]);
    expect(outcome(first, accessRequest("GET /", [bearer(good)]))).toBe(alice);
    expect(maker.stepFor([policy(byIssuer)])).toBe(first);
    const stricter = maker.stepFor([policy({ ...byIssuer, audiences: ["shop"] })]);
    expect(outcome(stricter, accessRequest("GET /", [bearer(good)]))).toStartWith("401 Aud");
    const renewed = new TokenIssuer(issuer.name);
    const others = maker.stepFor([policy({ ...byIssuer, jwks: renewed.keySet() })]);
    expect(outcome(others, accessRequest("GET /", [bearer(good)]))).toStartWith("401 Jwt ver");
  });
});

test("keys in the rule that cannot be read let nobody in", () => {
  const step = stepOf({ ...byIssuer, jwks: "{}" });
  expect(outcome(step, accessRequest("GET /", [bearer(good)]))).toBe(
    "401 Jwks remote fetch is failed",
  );
  expect(outcome(step, accessRequest("GET /"))).toBe("nobody");
});
