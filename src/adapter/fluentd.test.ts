/** Entries of logs on their way to a collector: their bytes, when they go, what is lost. */
import { afterEach, expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import type { Dimensions } from "../policy/template.ts";
import { adapterEnvironment, openRemote, problemsOf } from "../testing/adapter-environment.ts";
import { expectLinear } from "../testing/growth.ts";
import { fluentd, packEntry } from "./fluentd.ts";
import { Double, EventTime, type Packed, packMessage } from "./message-pack.ts";

const closing: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

test.each<[value: Packed, hex: string]>([
  [null, "c0"],
  [false, "c2"],
  [true, "c3"],
  [0, "00"],
  [127, "7f"],
  [128, "d30000000000000080"],
  [-1, "ff"],
  [-32, "e0"],
  [-33, "d3ffffffffffffffdf"],
  [2n ** 63n - 1n, "d37fffffffffffffff"],
  [new Double(1), "cb3ff0000000000000"],
  [1.5, "cb3ff8000000000000"],
  ["", "a0"],
  ["é", "a2c3a9"],
  ["x".repeat(31), `bf${"78".repeat(31)}`],
  ["x".repeat(32), `d920${"78".repeat(32)}`],
  ["x".repeat(256), `da0100${"78".repeat(256)}`],
  ["x".repeat(65_536), `db00010000${"78".repeat(65_536)}`],
  [[], "90"],
  [[1, "a"], "9201a161"],
  [new Array(16).fill(0), `dc0010${"00".repeat(16)}`],
  [new Map(), "80"],
  [new Map([["a", 1]]), "81a16101"],
  [new Map(Array.from({ length: 16 }, (_, i) => [`${i % 10}${i}`, 0])), /^de0010/.source],
  [new EventTime(1, 2), "d7000000000100000002"],
])("MessagePack %#", (value, hex) => {
  const packed = packMessage(value).toHex();
  if (hex.startsWith("^")) expect(packed).toStartWith(hex.slice(1));
  else expect(packed).toBe(hex);
});

const text = (value: string): TypedValue => ({ type: "STRING", value });
const options = { integerDuration: false, nowMs: 1_500 };

function entry(variables: Dimensions) {
  return { template: "logentry", name: "log", severity: "info", variables } as const;
}

test("an entry is a tag, a time and a record; a variable may be the tag", () => {
  expect(packEntry(entry({ a: text("b") }), options).toHex()).toBe(
    packMessage([
      "log",
      new EventTime(1, 500_000_000),
      new Map([
        ["a", "b"],
        ["severity", "info"],
      ]),
    ]).toHex(),
  );
  const timestamp = { seconds: 5, nanos: 6 };
  const tagged = { ...entry({ tag: text("t") }), timestamp };
  expect(packEntry(tagged, options).toHex()).toBe(
    packMessage(["t", new EventTime(5, 6), new Map([["severity", "info"]])]).toHex(),
  );
});

test("durations are text, or milliseconds where that was asked for", () => {
  const one = entry({ d: { type: "DURATION", value: 10_500_000 } });
  expect(packEntry(one, options).toString("latin1")).toContain("10.5ms");
  const whole = packEntry(one, { ...options, integerDuration: true });
  expect(whole.toHex()).toContain("a1640a");
});

test("encoding takes time in proportion", () => {
  expectLinear((n) => {
    packMessage(Array.from({ length: n }, (_, i) => `entry ${i}`));
  }, 4_000);
});

function collector() {
  let received = Buffer.alloc(0);
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(_, bytes) {
        received = Buffer.concat([received, bytes]);
      },
    },
  });
  closing.push(() => server.stop(true));
  return {
    address: `127.0.0.1:${server.port}`,
    received: () => received,
    stop: () => server.stop(true),
  };
}

function lostOf(environment: ReturnType<typeof adapterEnvironment>): number {
  const { families, values } = environment.registry.view();
  return values[families.find(({ name }) => name === "mesh_fluentd_lost_total")!.series[0]!.slot]!;
}

test("entries go when the time is up, all of them, however large", async () => {
  const { address, received } = collector();
  const environment = adapterEnvironment();
  const handler = openRemote(fluentd, { address, pushIntervalDuration: "1s" }, environment);
  closing.push(() => handler.close());
  const large = entry({ a: text("x".repeat(1_000_000)) });
  expect(await handler.report!([large, large, large])).toEqual([]);
  expect(received()).toHaveLength(0);
  environment.clock.advance(1_000);
  const nowMs = environment.clock.wallMs() - 1_000;
  const one = packEntry(large, { integerDuration: false, nowMs });
  while (received().length < 3 * one.length) await Bun.sleep(1);
  expect(received().equals(Buffer.concat([one, one, one]))).toBe(true);
  expect(lostOf(environment)).toBe(0);
});

test("a buffer that is full is pushed; while that goes on, what does not fit is lost", async () => {
  const { address, received } = collector();
  const environment = adapterEnvironment();
  const handler = openRemote(fluentd, { address, instanceBufferSize: 2 }, environment);
  closing.push(() => handler.close());
  const one = entry({ a: text("b") });
  await handler.report!([one, one, one, one, one, one]);
  expect(lostOf(environment)).toBe(2);
  while (received().length === 0) await Bun.sleep(1);
});

test("without a collector, or with one that hangs, entries are lost and counted", async () => {
  const { address, stop } = collector();
  stop();
  const environment = adapterEnvironment();
  const handler = openRemote(fluentd, { address, pushIntervalDuration: "1s" }, environment);
  closing.push(() => handler.close());
  await handler.report!([entry({}), entry({})]);
  environment.clock.advance(1_000);
  while (lostOf(environment) < 2) await Bun.sleep(1);
});

test.each<[parameters: object, problems: string[]]>([
  [{}, []],
  [{ address: "a" }, ['address: "a" is no host:port']],
  [{ pushTimeoutDuration: "0s" }, ["pushTimeoutDuration: must be longer than 0s"]],
  [{ instanceBufferSize: 0 }, ["instanceBufferSize: must be between 1 and 1000000, not 0"]],
])("parameters %j", (parameters, problems) => {
  expect(problemsOf(fluentd, parameters)).toEqual(problems);
});
