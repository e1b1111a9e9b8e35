/** Balancing as callers and services see it, on sockets. */
import { expect, test } from "bun:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type HashRuleSchema, LoadBalancer } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";

type HashRuleInit = MessageInitShape<typeof HashRuleSchema>;

const setUp = engineSetUp();

/** Four services that answer with their number. */
function services(): FakeUpstream[] {
  return Array.from(
    { length: 4 },
    (_, i) => new FakeUpstream({ script: (_request, reply) => reply.respond(200, String(i)) }),
  );
}

async function answersOf(
  fields: readonly string[],
  hash: HashRuleInit,
): Promise<readonly string[]> {
  const all = services();
  try {
    const { client } = await setUp(undefined, () => ({
      endpoints: all.map(({ port }) => port),
      cluster: { loadBalancer: LoadBalancer.RING_HASH, hash: [hash] },
    }));
    const answers: string[] = [];
    for (const field of fields) {
      client.send(`GET / HTTP/1.1\r\nHost: svc\r\n${field}\r\n`);
      const { head, body } = await client.takeResponse();
      const cookie = /set-cookie: ([^;\r\n]*)/i.exec(head)?.[1];
      answers.push(cookie === undefined ? body : `${body} ${cookie}`);
    }
    return answers;
  } finally {
    for (const one of all) one.close();
  }
}

test("a hash of a header leads a caller to the same endpoint every time", async () => {
  const users = ["ann", "bob", "cy", "dee", "eve", "flo", "gus", "hal"];
  const fields = [...users, ...users].map((user) => `X-User: ${user}\r\n`);
  const answers = await answersOf(fields, { by: { case: "header", value: "x-user" } });
  expect(answers.slice(0, 8)).toEqual(answers.slice(8));
  expect(new Set(answers).size).toBeGreaterThan(1);
});

test("who brings no cookie is given one, which leads back to the same endpoint", async () => {
  const cookie = { name: "stick", ttlSeconds: 60 };
  const hash: HashRuleInit = { by: { case: "cookie", value: cookie } };
  const [first] = await answersOf([""], hash);
  expect(first).toMatch(/^\d stick=/);
});

test("an endpoint that is full is passed over; with all full the answer is 503", async () => {
  const { service, connect } = await setUp(
    () => {},
    (port) => ({
      endpoints: [port],
      cluster: { circuitBreaker: { perEndpoint: { maxRequests: 1 } } },
    }),
  );
  const [one, two] = [await connect(), await connect()];
  one.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
  await service.until(() => service.requests.length === 1);
  two.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
  const answer = await two.takeResponse();
  expect(answer.status).toBe(503);
  expect(answer.head).toContain("x-mesh-reason: ");
});
