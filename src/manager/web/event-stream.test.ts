/** How long a page that looks is told what changes: no longer than it might read. */
import { afterEach, expect, test } from "bun:test";
import { readDocuments } from "../../dialect/read.ts";
import { type IdentityManager, openIdentityManager } from "../../testing/identity-manager.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const SECOND_MS = 1_000;
const RULE = `apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: outside }
spec:
  destination: { service: api.example.com }
  ports: [{ port: 80, protocol: http }]
`;
/** As a browser shows it, and as a script does. */
const ways = [
  ["cookie", (token: string) => ({ cookie: `mesh-session=${token}` })],
  ["field", (token: string) => ({ authorization: `Bearer ${token}` })],
] as const;

async function open(): Promise<IdentityManager> {
  const one = await openIdentityManager();
  closing.push(() => one.stop());
  // What the manager has to say of its own start.
  one.clock.advance(SECOND_MS);
  return one;
}

function newToken({ identity }: IdentityManager, lifetimeMs: number) {
  return identity.accessTokens.create({
    ...{ name: "ann", role: "viewer", author: "loopback", pin: "p".repeat(43), lifetimeMs },
  });
}

const BEAT = ": still here\n\n";

/** Reads on from where it was. */
async function listen(one: IdentityManager, headers: Record<string, string> = {}) {
  const response = await fetch(`${one.plainUrl}/api/v1/events`, { headers });
  expect(response.status).toBe(200);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const until = async (text: string): Promise<void> => {
    for (let said = ""; !said.includes(text); ) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`it ended after ${said}`);
      said += value;
    }
  };
  const toItsEnd = async (): Promise<string> => {
    for (let said = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return said;
      said += value;
    }
  };
  await until("retry: 1000\n\n");
  return { until, toItsEnd, leave: () => reader.cancel() };
}

test.each(ways)("a stream ends when its token is revoked, shown as a %s", async (_, shown) => {
  const one = await open();
  const { text, token } = newToken(one, 0);
  const stream = await listen(one, shown(text));
  one.clock.advance(15 * SECOND_MS);
  await stream.until(BEAT);
  one.identity.accessTokens.revoke(token.id);
  one.clock.advance(SECOND_MS);
  expect(await stream.toItsEnd()).not.toContain(BEAT);
});

test.each(ways)("a stream ends when its token expires, shown as a %s", async (_, shown) => {
  const one = await open();
  const stream = await listen(one, shown(newToken(one, 20 * SECOND_MS).text));
  one.clock.advance(15 * SECOND_MS);
  await stream.until(BEAT);
  one.clock.advance(5 * SECOND_MS);
  expect(await stream.toItsEnd()).not.toContain(BEAT);
});

test("another's token may go, and what needs none is told on and on", async () => {
  const one = await open();
  const gone = newToken(one, 0);
  const [ann, ours] = [await listen(one, ways[0][1](newToken(one, 0).text)), await listen(one)];
  expect(one.identity.accessTokens.revoke(gone.token.id)).toBe(true);
  for (const stream of [ann, ours]) {
    one.clock.advance(15 * SECOND_MS);
    await stream.until(BEAT);
    await stream.leave();
  }
});

test("nothing is told to who may no longer read, though nobody had looked since", async () => {
  const one = await open();
  const { text, token } = newToken(one, 0);
  const [ann, ours] = [await listen(one, ways[0][1](text)), await listen(one)];
  one.identity.accessTokens.revoke(token.id);
  const options = { file: "rules.yaml", namespace: "default", domain: "cluster.local" };
  const [rule] = readDocuments(RULE, options).configs;
  await one.manager.configuration.store.commit([{ put: rule! }], "ann");
  one.manager.flush();
  one.clock.advance(SECOND_MS / 2);
  await ours.until("data: 1\n");
  await ours.leave();
  expect(await ann.toItsEnd()).not.toContain("data: 1\n");
});
