/**
 * What one match costs among 10 and among 10,000 routes: `bun src/proxy/route/match.bench.ts`.
 * Both are measured in turns in one run; the ratio is what counts.
 */
import { head, published } from "../../testing/snapshot-sample.ts";
import type { VirtualHost } from "./virtual-host.ts";

const ROUNDS = 15;
const CALLS = 200_000;

function hostWith(count: number): VirtualHost {
  const forward = { clusters: [{ cluster: "c" }] };
  const routes = Array.from({ length: count - 1 }, (_, i) =>
    i % 2 === 0
      ? { name: `exact ${i}`, match: { path: { exact: pathOf(i) } }, forward }
      : { name: `prefix ${i}`, match: { path: { prefix: pathOf(i) } }, forward },
  );
  const rest = { name: "rest", match: { path: { prefix: "/" } }, forward };
  const snapshot = published({
    clusters: [{ name: "c" }],
    virtualHosts: [{ name: "reviews", domains: ["reviews"], routes: [...routes, rest] }],
  });
  return snapshot.virtualHosts[0]!;
}

function pathOf(i: number): string {
  return `/api/v1/tenants/${String(Math.floor(i)).padStart(5, "0")}/reviews`;
}

/** Nanoseconds a match, over requests for many of the routes. */
function measure(host: VirtualHost, requests: readonly ReturnType<typeof head>[]): number {
  let found = 0;
  const started = performance.now();
  for (let i = 0; i < CALLS; i++)
    if (host.match(requests[i % requests.length]!, false) !== undefined) found++;
  const ms = performance.now() - started;
  if (found !== CALLS) throw new Error("every request has a route");
  return (ms * 1e6) / CALLS;
}

const sizes = [10, 10_000] as const;
const cases = sizes.map((size) => ({
  size,
  host: hostWith(size),
  requests: Array.from({ length: 8 }, (_, i) => head(`GET ${pathOf((i * size) / 8)}/?page=2`)),
  best: Number.POSITIVE_INFINITY,
}));
for (let round = 0; round < ROUNDS; round++)
  for (const one of cases) one.best = Math.min(one.best, measure(one.host, one.requests));
for (const { size, best } of cases) console.log(`${size} routes: ${best.toFixed(0)} ns a match`);
console.log(`ratio ${(cases[1]!.best / cases[0]!.best).toFixed(2)}`);
