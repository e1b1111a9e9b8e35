/** Records on their way to a collector: what is tried again, what is lost, what may wait. */
import { afterEach, expect, test } from "bun:test";
import { adapterEnvironment } from "../testing/adapter-environment.ts";
import { BatchPost } from "./batch-post.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test("a collector that asks to wait is asked again, later each time, not for ever", async () => {
  const { clock, log, registry } = adapterEnvironment();
  const statuses = [503, 429, 502, 504, 200];
  const asked: (readonly [atMs: number, encoding: string | null, body: string])[] = [];
  const server = Bun.serve({
    port: 0,
    fetch: async (request) => {
      const encoding = request.headers.get("content-encoding");
      const body = new TextDecoder().decode(Bun.gunzipSync(await request.bytes()));
      const status = statuses[asked.length] ?? 503;
      asked.push([clock.nowMs(), encoding, body]);
      const headers = { "retry-after": status === 429 ? "20" : status === 502 ? "9999" : "0" };
      return new Response("", { status, headers });
    },
  });
  closing.push(() => server.stop(true));
  const lost = registry.counter("lost_total", "", {});
  const post = new BatchPost<string>({
    ...{ url: `http://127.0.0.1:${server.port}`, headers: {}, timeoutMs: 1e9, pushMs: 1 },
    ...{ batchMax: 1, contentType: "text/plain", isCompressed: true, retriesMax: 4 },
    ...{ clock, log, lost, random: () => 1, wrap: (records) => records.join() },
  });
  /** Time passes by the second, and what is due is done. */
  const untilIdle = async () => {
    while (!post.idle) {
      // Nothing but the time limit of what is under way, or a pause besides.
      if (clock.waiting > 0) clock.advance(500);
      await Bun.sleep(1);
    }
  };
  post.add("one");
  await untilIdle();
  expect(asked.map(([, encoding, body]) => [encoding, body])).toEqual(
    Array.from({ length: 5 }, () => ["gzip", "one"]),
  );
  const pauses = asked.slice(1).map(([atMs], i) => atMs - asked[i]![0]);
  // Doubled each time, or what was asked for; of that no more than half a minute.
  for (const [i, least] of [1_000, 20_000, 30_000, 8_000].entries())
    expect(pauses[i]).toBeGreaterThanOrEqual(least);
  expect(lost.value).toBe(0);
  post.add("two");
  await untilIdle();
  expect([asked.length, lost.value]).toEqual([10, 1]);
});

test("what waits is bounded in octets, and so is a post", async () => {
  const { clock, log, registry } = adapterEnvironment();
  const sizes: number[] = [];
  const lost = registry.counter("lost_total", "", {});
  const post = new BatchPost<string>({
    ...{ url: "http://127.0.0.1:1", headers: {}, timeoutMs: 1_000, pushMs: 1_000 },
    ...{ batchMax: 100, contentType: "text/plain", clock, log, lost },
    wrap: (records) => {
      sizes.push(records.length);
      return "";
    },
  });
  const count = () => lost.value;
  post.add("a".repeat(4 * 1_048_576 + 1));
  expect(count()).toBe(1);
  for (let i = 0; i < 20; i++) post.add("a".repeat(1_048_576));
  expect(sizes).toEqual([4]);
  expect(count()).toBe(1);
  post.add("a");
  expect(count()).toBe(2);
  post.close();
  while (!post.idle) await Bun.sleep(1);
  expect(sizes).toEqual([4, 4, 4, 4, 4]);
  expect(count()).toBe(22);
});
