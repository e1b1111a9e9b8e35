/** Which origins a route answers, and with which fields. */
import { describe, expect, test } from "bun:test";
import { head, published } from "../../testing/snapshot-sample.ts";
import { type CorsPolicy, isPreflight } from "./cors.ts";

function policy(cors: object): CorsPolicy {
  const route = {
    cors: JSON.parse(JSON.stringify(cors)),
    direct: { status: 200 },
  };
  const snapshot = published({ virtualHosts: [{ name: "h", domains: ["*"], routes: [route] }] });
  return snapshot.virtualHosts[0]!.routes[0]!.cors!;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe("an origin", () => {
  const origins = [
    { exact: "https://a.example" },
    { prefix: "https://b." },
    { regex: "https://[a-z]+\\.c\\.example" },
  ];
  // biome-ignore format: a table reads as a table
  const rows: readonly [origin: string, allowed: boolean][] = [
    ["https://a.example",        true],
    ["https://a.example:444",    false],
    ["https://b.anything",       true],
    ["https://x.c.example",      true],
    ["https://x.c.example.evil", false],
    ["null",                     false],
  ];
  for (const [origin, allowed] of rows)
    test(`${origin} is ${allowed ? "allowed" : "refused"}`, () => {
      const request = head("GET /", `Origin: ${origin}`);
      const field = policy({ allowOrigins: origins }).allowedOrigin(request);
      expect(field === -1 ? undefined : request.valueText(field)).toBe(
        allowed ? origin : undefined,
      );
    });

  test("of any kind is allowed by *", () => {
    expect(
      policy({ allowOrigins: [{ exact: "*" }] }).allowedOrigin(head("GET /", "Origin: x")),
    ).toBe(1);
  });

  test("that is not sent is not allowed", () => {
    expect(policy({ allowOrigins: [{ exact: "*" }] }).allowedOrigin(head("GET /"))).toBe(-1);
  });
});

test("answers carry what the policy says, prepared", () => {
  const { preflightFields, responseFields } = policy({
    allowOrigins: [{ exact: "*" }],
    allowMethods: ["GET", "PUT"],
    allowHeaders: ["x-a", "x-b"],
    exposeHeaders: ["x-c"],
    maxAgeSeconds: 60,
    allowCredentials: true,
  });
  expect(text(preflightFields)).toBe(
    "access-control-allow-credentials: true\r\n" +
      "access-control-allow-methods: GET,PUT\r\n" +
      "access-control-allow-headers: x-a,x-b\r\n" +
      "access-control-max-age: 60\r\n" +
      "vary: origin\r\n",
  );
  expect(text(responseFields)).toBe(
    "access-control-allow-credentials: true\r\n" +
      "access-control-expose-headers: x-c\r\n" +
      "vary: origin\r\n",
  );
});

test("what a policy leaves out is not sent", () => {
  expect(text(policy({}).preflightFields)).toBe("vary: origin\r\n");
  expect(text(policy({}).responseFields)).toBe("vary: origin\r\n");
});

test("a preflight is OPTIONS with Origin and the method that is asked for", () => {
  const asks = "Access-Control-Request-Method: PUT";
  expect(isPreflight(head("OPTIONS /", "Origin: a", asks))).toBe(true);
  expect(isPreflight(head("OPTIONS /", "Origin: a"))).toBe(false);
  expect(isPreflight(head("OPTIONS /", asks))).toBe(false);
  expect(isPreflight(head("GET /", "Origin: a", asks))).toBe(false);
});
