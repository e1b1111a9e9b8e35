/** Made-up addresses: one name, one address, and kept while it can be. */
import { expect, test } from "bun:test";
import { allocateAddresses } from "./service-address.ts";

const none = new Map<string, string>();
const many = Array.from({ length: 3_000 }, (_, i) => `s${i}.default.svc.cluster.local`);

test("proxies that know other services agree, unless two names meet", () => {
  const all = allocateAddresses(many, none);
  expect(allocateAddresses(many.toReversed(), none)).toEqual(all);
  const alone = many.filter((host) => allocateAddresses([host], none).get(host) === all.get(host));
  expect(alone.length).toBeGreaterThan(2_850);
});

test("every address is of the block, and of one service only", () => {
  const addresses = [...allocateAddresses(many, none).values()];
  expect(new Set(addresses).size).toBe(many.length);
  for (const address of addresses) {
    expect(address).toMatch(/^240\.240\.(\d{1,3})\.(\d{1,3})$/);
    expect(address).not.toMatch(/^240\.240\.(0\.0|255\.255)$/);
  }
});

test("a service keeps its address whoever comes and goes", () => {
  const former = allocateAddresses(many, none);
  const after = allocateAddresses(
    [...many.slice(1_500), ...many.slice(0, 1_500).map((host) => `a${host}`)],
    former,
  );
  for (const host of many.slice(1_500)) expect(after.get(host)).toBe(former.get(host)!);
  expect(after.has(many[0]!)).toBe(false);
  expect(new Set(after.values()).size).toBe(many.length);
});

test("an address once published stays what it is: restarts and other proxies rely on it", () => {
  const host = "reviews.default.svc.cluster.local";
  expect(allocateAddresses([host, host], none)).toEqual(new Map([[host, "240.240.188.133"]]));
});

test("more services than addresses: the last get none, and nothing goes round for ever", () => {
  const hosts = Array.from({ length: 65_600 }, (_, i) => `h${i}`);
  expect(new Set(allocateAddresses(hosts, none).values()).size).toBe(65_534);
});
