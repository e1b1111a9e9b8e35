/** Requests whose tokens need keys that have to be fetched. */
import { afterEach, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import {
  type RequestAuthentication,
  RequestAuthenticationSchema,
} from "../../api/gen/mesh/v1/access_pb.ts";
import { Log } from "../../core/log.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { accessRequest } from "../../testing/access-request.ts";
import { KeyServer, type KeyServerOptions } from "../../testing/key-server.ts";
import { TokenIssuer } from "../../testing/token-issuer.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { AccessPass, AccessRefusal, AccessStep } from "./access-step.ts";
import { JwtSteps } from "./jwt-steps.ts";

const issuer = new TokenIssuer();
const renewed = new TokenIssuer(issuer.name, "ES256", "key-2");
const noKeys = "401 Jwks remote fetch is failed";
const unknownKey = "401 Jwks doesn't have key to match kid or alg from Jwt";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function setUp(answer: KeyServerOptions["answer"]) {
  const server = new KeyServer({ answer });
  const clock = new VirtualClock();
  const log = new Log("test", { level: "error" }, () => {});
  const maker = new JwtSteps({ clock, random: () => 0.5, log, metrics: new Metrics() });
  closers.push(
    () => server.close(),
    () => maker.close(),
  );
  const uri = `${server.origin}/jwks`;
  return { server, clock, maker, step: maker.stepFor([policy(uri)]) };
}

function policy(jwksUri: string): RequestAuthentication {
  return create(RequestAuthenticationSchema, { rules: [{ issuer: issuer.name, jwksUri }] });
}

interface Asked {
  readonly at: "passed" | "refused" | "waiting" | "nobody";
  readonly done: Promise<string>;
  cancel(): void;
}

function ask(step: AccessStep, token: string): Asked {
  const { promise, resolve } = Promise.withResolvers<string>();
  const tell = (answer: AccessPass | AccessRefusal): void =>
    resolve(
      answer.at === "refused"
        ? `${answer.status} ${answer.body}`
        : (answer.token?.principal ?? "nobody"),
    );
  const request = accessRequest("GET /", [`authorization: Bearer ${token}`]);
  const answer = step.ask(request, { answered: tell });
  // The connection's memory is another request's by the time that keys come.
  request.head.bytes.fill(0);
  if (answer !== undefined && answer.at !== "waiting") tell(answer);
  const cancel = (): void => {
    if (answer?.at === "waiting") answer.cancel();
  };
  return { at: answer?.at ?? "nobody", done: promise, cancel };
}

const alice = `${issuer.name}/alice`;

test("they are fetched before anybody asks, and who comes first waits for them", async () => {
  const { step, server } = setUp(() => issuer.keySet());
  const asked = Array.from({ length: 5 }, (_, i) => ask(step, issuer.token({ sub: `user${i}` })));
  expect(asked.map(({ at }) => at)).toEqual(Array(5).fill("waiting"));
  const names = [0, 1, 2, 3, 4].map((i) => `${issuer.name}/user${i}`);
  expect(await Promise.all(asked.map(({ done }) => done))).toEqual(names);
  expect(server.asked).toEqual(["/jwks"]);
  expect(ask(step, issuer.token()).at).toBe("passed");
});

test("who has gone is told nothing", async () => {
  const { step } = setUp(() => issuer.keySet());
  const first = ask(step, issuer.token());
  const second = ask(step, issuer.token());
  first.cancel();
  expect(await second.done).toBe(alice);
  expect(await Promise.race([first.done, Promise.resolve("nothing")])).toBe("nothing");
});

test("without a token nobody waits", () => {
  const { step } = setUp(() => new Promise<Response>(() => {}));
  expect(
    step.ask(accessRequest("GET /"), { answered: () => expect.unreachable() }),
  ).toBeUndefined();
});

test.each([
  ["away", () => new Response("", { status: 503 })],
  ["talking nonsense", () => "<html>"],
  ["talking without end", () => " ".repeat(1_000_000)],
])("a server of keys that is %s: refused, and soon tried again", async (_, answer) => {
  const { step, clock, server } = setUp(answer);
  expect(await ask(step, issuer.token()).done).toBe(noKeys);
  // While it rests nobody waits.
  const next = ask(step, issuer.token());
  expect(next.at).toBe("refused");
  expect(await next.done).toBe(noKeys);
  server.answer = () => issuer.keySet();
  clock.advance(1_000);
  expect(await ask(step, issuer.token()).done).toBe(alice);
});

test("a server of keys that does not answer: refused within the limit", async () => {
  const { step, clock } = setUp(() => new Promise<Response>(() => {}));
  const asked = ask(step, issuer.token());
  // What is published is in force before anybody is asked.
  await Promise.resolve();
  clock.advance(5_000);
  expect(await asked.done).toBe(noKeys);
  expect(step.timeoutMs).toBe(5_000);
  expect(step.late).toMatchObject({ status: 401, body: noKeys.slice(4) });
});

test("no more than a thousand wait", async () => {
  const { step, clock } = setUp(() => new Promise<Response>(() => {}));
  const token = issuer.token();
  const asked = Array.from({ length: 1_001 }, () => ask(step, token));
  expect(asked.filter(({ at }) => at === "waiting").length).toBe(1_000);
  expect(await asked[1_000]!.done).toBe(noKeys);
  clock.advance(5_000);
  await Promise.all(asked.map(({ done }) => done));
});

test("an issuer with a new key is asked for it once, not for each token", async () => {
  const { step, clock, server } = setUp(() => issuer.keySet());
  expect(await ask(step, issuer.token()).done).toBe(alice);
  // A moment after a fetch there is nothing new to be had.
  expect(await ask(step, renewed.token()).done).toBe(unknownKey);
  clock.advance(10_000);
  server.answer = () => issuer.keySet(renewed.jwk());
  const asked = [1, 2, 3].map(() => ask(step, renewed.token()));
  expect(asked.map(({ at }) => at)).toEqual(["waiting", "waiting", "waiting"]);
  expect(await Promise.all(asked.map(({ done }) => done))).toEqual([alice, alice, alice]);
  const flood = Array.from({ length: 50 }, (_, i) =>
    ask(step, renewed.token({}, { kid: `made up ${i}` })),
  );
  expect(new Set(await Promise.all(flood.map(({ done }) => done)))).toEqual(new Set([unknownKey]));
  expect(server.asked.length).toBe(2);
});

test("a key that is taken back makes its tokens void, though they were known", async () => {
  const { step, clock, server } = setUp(() => issuer.keySet());
  const token = issuer.token();
  expect(await ask(step, token).done).toBe(alice);
  expect(await ask(step, token).done).toBe(alice);
  server.answer = () => renewed.keySet();
  clock.advance(20 * 60_000);
  // Its fetch is under way: whoever asks for an unknown key waits for it.
  expect(await ask(step, renewed.token()).done).toBe(alice);
  expect(await ask(step, token).done).toBe(unknownKey);
});

test("the issuer alone is known: its document says where keys are", async () => {
  const server = new KeyServer({ answer: () => undefined });
  const own = new TokenIssuer(server.origin);
  server.answer = (path) => {
    if (path === "/keys") return own.keySet();
    return JSON.stringify({ issuer: server.origin, jwks_uri: `${server.origin}/keys` });
  };
  const { maker } = setUp(() => undefined);
  closers.push(() => server.close());
  const rules = [{ issuer: own.name }];
  const step = maker.stepFor([create(RequestAuthenticationSchema, { rules })]);
  expect(await ask(step, own.token()).done).toBe(`${own.name}/alice`);
  expect(server.asked).toEqual(["/.well-known/openid-configuration", "/keys"]);
});

test("another configuration does not fetch what is known, and what is gone rests", async () => {
  const { maker, step, server, clock } = setUp(() => issuer.keySet());
  expect(await ask(step, issuer.token()).done).toBe(alice);
  const uri = `${server.origin}/jwks`;
  const forwarding = policy(uri);
  forwarding.rules[0]!.forwardOriginalToken = true;
  const next = maker.stepFor([forwarding]);
  expect(ask(next, issuer.token()).at).toBe("passed");
  expect(server.asked.length).toBe(1);
  for (const jwks of [issuer.keySet(), renewed.keySet()])
    maker.stepFor([
      create(RequestAuthenticationSchema, { rules: [{ issuer: issuer.name, jwks }] }),
    ]);
  clock.advance(60 * 60_000);
  expect(server.asked.length).toBe(1);
  // A request of the old configuration is served to its end.
  expect(ask(next, issuer.token({ sub: "alice", x: 1 })).at).toBe("passed");
});
