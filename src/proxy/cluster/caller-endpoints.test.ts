/** From which address an application is called, for whom. */
import { expect, test } from "bun:test";
import { Metrics } from "../../telemetry/metrics.ts";
import { CallerEndpoints } from "./caller-endpoints.ts";
import { RequestStats } from "./request-stats.ts";

function callersOf(address: string): CallerEndpoints {
  const names = { source: "", sourceVersion: "", service: "web", version: "" };
  const stats = new RequestStats({ reporter: "destination", ...names }, new Metrics().scope());
  return new CallerEndpoints({ address, port: 9080, labels: {}, mark: 1337, stats });
}

const rows: readonly (readonly [string, string, string, string | undefined])[] = [
  ["a caller", "127.0.0.1", "10.0.0.7", "10.0.0.7"],
  ["a caller, as a socket for both families writes it", "127.0.0.1", "::ffff:10.0.0.7", "10.0.0.7"],
  ["a caller of IPv6, of an application of IPv6", "::1", "2001:db8::7", "2001:db8::7"],
  ["a caller of another family", "127.0.0.1", "2001:db8::7", undefined],
  ["a caller of another family, the other way", "::1", "10.0.0.7", undefined],
  ["a program of this machine", "127.0.0.1", "127.0.0.1", undefined],
  ["an application that is known by a name", "localhost", "10.0.0.7", undefined],
];

test.each([...rows])("%s", (_what, address, caller, from) => {
  const endpoint = callersOf(address).find(caller);
  expect(endpoint?.address).toBe(address);
  expect(endpoint?.facts.from).toEqual(
    from === undefined ? undefined : { address: from, mark: 1337 },
  );
});

test("a caller finds the same connections again; another does not", () => {
  const callers = callersOf("127.0.0.1");
  expect(callers.find("10.0.0.7")).toBe(callers.find("10.0.0.7")!);
  expect(callers.find("10.0.0.8")).not.toBe(callers.find("10.0.0.7")!);
});

test("the one that was made first and is idle makes room; if all are busy there is none", () => {
  const callers = callersOf("127.0.0.1");
  const made = Array.from({ length: 1_024 }, (_, i) => callers.find(`10.0.${i >> 8}.${i & 255}`)!);
  made[0]!.active = 1;
  callers.find("10.9.9.9")!.active = 1;
  expect(made.map(({ removed }) => removed).indexOf(true)).toBe(1);
  expect(callers.endpoints.length).toBe(1_024);
  for (const endpoint of callers.endpoints) endpoint.active = 1;
  expect(callers.find("10.9.9.8")).toBeUndefined();
});
