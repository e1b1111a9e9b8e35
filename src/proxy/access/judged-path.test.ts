/** What is judged is what is passed on, however it is written; what is neither is refused. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { systemRandom } from "../../core/random.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { config } from "../../testing/snapshot-sample.ts";
import { DataPlane } from "../data-plane.ts";
import { parseProxyFlags } from "../flags.ts";

/** As one that would take any upgrade, and then say anything. */
const app = new FakeUpstream({
  script: ({ field }, reply) =>
    field("upgrade") === undefined
      ? reply.respond(200)
      : reply.send("HTTP/1.1 101 On\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nanything"),
});
let plane: DataPlane;

beforeAll(async () => {
  const args = ["--service", "shop.default", "--app-port", String(app.port)];
  const ports = ["--outbound", "127.0.0.1:0", "--inbound", "127.0.0.1:0"];
  const parsed = parseProxyFlags([...args, ...ports]);
  if (parsed.at !== "flags") throw new Error(JSON.stringify(parsed));
  const log = new Log("test", { level: "error" });
  const { flags } = parsed;
  plane = new DataPlane({ flags, clock: systemClock, random: systemRandom, log });
  await plane.listen(undefined);
  const deny = { action: "ACTION_DENY", rules: [{ to: [{ paths: ["/admin*"] }] }] };
  await plane.apply(config({ version: "1", access: { authorizationPolicies: [deny] } }));
});

afterAll(async () => {
  await plane.close();
  app.close();
});

const denied = "403";
const malformed = "400";
// biome-ignore format: a table
const rows: readonly (readonly [target: string, outcome: string])[] = [
  ["/admin",                  denied],
  ["/admin;x=1",              denied],
  ["/admin?x",                denied],
  ["http://a/admin",          denied],
  ["/%61%64min",              denied],
  ["/x/../admin",             denied],
  ["/%2e%2e/admin",           denied],
  ["/x\\..\\admin",           denied],
  ["/a%2f..%2fadmin",         malformed],
  ["/x%5c..%5cadmin",         malformed],
  ["/x/..;/admin",            malformed],
  ["/admin%00",               malformed],
  ["/%61dmin#x",              malformed],
  ["admin",                   malformed],
  // Paths of their own, which go to the application as they were judged.
  ["//admin",                 "//admin"],
  ["/%2fadmin",               "/%2fadmin"],
  ["/ADMIN",                  "/ADMIN"],
  ["/%2561dmin",              "/%2561dmin"],
  ["/%25%36%31dmin",          "/%2561dmin"],
  ["http://a/x",              "/x"],
];

/** The status of a refusal, or what the application was asked for. */
async function outcomeOf(line: string, ...fields: readonly string[]): Promise<string> {
  const client = await RawClient.connect({ port: plane.address("inbound")!.port });
  const before = app.requests.length;
  const host = fields.some((field) => field.startsWith("Host:")) ? [] : ["Host: a"];
  client.send(`${[`${line} HTTP/1.1`, ...host, ...fields].join("\r\n")}\r\n\r\n`);
  const { status } = await client.takeResponse();
  client.close();
  const asked = app.requests.slice(before);
  return asked.length === 0 ? String(status) : asked.map(({ target }) => target).join();
}

test.each(rows)("GET %s: %s", async (target, outcome) => {
  expect(await outcomeOf(`GET ${target}`)).toBe(outcome);
});

test("a tunnel past the rules is none", async () => {
  expect(await outcomeOf("CONNECT a:80", "Host: a:80")).toBe("405");
  expect(await outcomeOf("CONNECT /admin")).toBe(malformed);
});

test("no upgrade but WebSocket's is passed on", async () => {
  const h2c = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"];
  expect(await outcomeOf("GET /x", ...h2c)).toBe("/x");
  expect(app.requests.at(-1)!.field("upgrade")).toBeUndefined();
  expect(await outcomeOf("GET /admin", ...h2c)).toBe(denied);
});

test("an answer that goes on as another protocol than was asked for goes no further", async () => {
  const client = await RawClient.connect({ port: plane.address("inbound")!.port });
  const fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
  const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
  client.send(`${["GET /x HTTP/1.1", "Host: a", ...fields, key].join("\r\n")}\r\n\r\n`);
  expect((await client.takeResponse()).status).toBe(502);
  client.close();
});
