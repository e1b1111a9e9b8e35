/** The demo's visitors count what a person would have noticed. */
import { expect, test } from "bun:test";
import { seededRandom } from "../../core/random.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { Traffic, type TrafficCount, trafficText } from "./traffic.ts";

test("a page with a missing part is an error, and so is no page", async () => {
  const answers = [
    new Response("", { headers: { "x-bookinfo-reviews": "v1", "x-bookinfo-details": "v1" } }),
    new Response("", {
      headers: { "x-bookinfo-reviews": "v3", "x-bookinfo-details": "unavailable" },
    }),
    new Response("", { status: 503 }),
  ];
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => answers.shift()! });
  const clock = new VirtualClock();
  const traffic = new Traffic({
    url: `http://127.0.0.1:${server.port}/`,
    clock,
    random: seededRandom(1),
  });
  for (let i = 0; i < 3; i++) await traffic.visit();
  await server.stop(true);
  await traffic.visit();
  const { requests, errors, reviews } = traffic.count();
  expect({ requests, errors, reviews }).toEqual({
    requests: 4,
    errors: 3,
    reviews: { v1: 1, v3: 1, unavailable: 2 },
  });
});

test("the split is that of the time since the former count", () => {
  const count = (requests: number, v1: number, v3: number): TrafficCount => ({
    requests,
    errors: 0,
    reviews: { v1, v3 },
    medianMs: 7.4,
    slowestMs: 20,
  });
  expect(trafficText(count(10, 5, 5))).toBe(
    "10 pages, 0 errors, median 7 ms, slowest 20 ms; reviews v1 50%, v3 50%",
  );
  expect(trafficText(count(20, 14, 6), count(10, 5, 5))).toContain("reviews v1 90%, v3 10%");
});
