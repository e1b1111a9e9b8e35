/** Datagrams of statsd and dogstatsd, met by a socket. */
import { afterEach, expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import { bindUdp } from "../io/udp.ts";
import { adapterEnvironment, openRemote, problemsOf } from "../testing/adapter-environment.ts";
import { parseHostPort } from "./host-port.ts";
import { dogstatsd, statsd } from "./statsd.ts";

const closing: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

const text = (value: string): TypedValue => ({ type: "STRING", value });
const long = (value: number): TypedValue => ({ type: "INT64", value });
const time = (value: number): TypedValue => ({ type: "DURATION", value });

function metric(name: string, value: TypedValue, dimensions: Record<string, TypedValue> = {}) {
  return { template: "metric", name, value, dimensions } as const;
}

async function daemon() {
  const datagrams: string[] = [];
  const socket = await bindUdp({ hostname: "127.0.0.1", port: 0 }, (bytes) => {
    datagrams.push(Buffer.from(bytes).toString());
  });
  closing.push(() => socket.close());
  const received = async (count: number) => {
    while (datagrams.length < count) await Bun.sleep(1);
    return datagrams;
  };
  return { address: `127.0.0.1:${socket.port}`, received };
}

test("counters, gauges and times of statsd; names from dimensions", async () => {
  const { address, received } = await daemon();
  const environment = adapterEnvironment();
  const parameters = {
    address,
    prefix: "mesh",
    metrics: {
      counter: { type: "COUNTER" },
      gauge: { type: "GAUGE" },
      times: { type: "DISTRIBUTION" },
      code: { type: "COUNTER", nameTemplate: "{{.apiMethod}}-{{ .responseCode }}" },
    },
  };
  const handler = openRemote(statsd, parameters, environment);
  closing.push(() => handler.close());
  const dimensions = { apiMethod: text("a:b|c\nd"), responseCode: long(500) };
  const complaints = await handler.report!([
    metric("counter", long(456)),
    metric("gauge", long(123)),
    metric("times", time(146_500_000)),
    metric("times", long(3_459)),
    metric("code", long(1), dimensions),
    metric("counter", time(1)),
    metric("gauge", text("x")),
    metric("unknown", long(1)),
  ]);
  expect(complaints).toEqual([
    "counter: a duration is for a DISTRIBUTION",
    "gauge: its value is no number",
    "no metric is defined for unknown",
  ]);
  environment.clock.advance(300);
  expect(await received(1)).toEqual([
    "mesh.counter:456|c\nmesh.gauge:123|g\nmesh.times:146.5|ms\nmesh.times:3459|ms\n" +
      "mesh.a_b_c_d-500:1|c",
  ]);
});

test("dogstatsd has tags: everybody's, the metric's, the dimensions", async () => {
  const { address, received } = await daemon();
  const environment = adapterEnvironment();
  const parameters = {
    address,
    prefix: "testing.",
    globalTags: { global: "tag" },
    metrics: {
      g: { name: "gauge", type: "GAUGE" },
      c: { name: "counter", type: "COUNTER", tags: { tag: "value" } },
      d: { name: "distribution", type: "DISTRIBUTION" },
    },
  };
  const handler = openRemote(dogstatsd, parameters, environment);
  closing.push(() => handler.close());
  await handler.report!([
    metric("g", long(123)),
    metric("c", long(456), { response: long(200), path: text("/a,b") }),
    metric("d", time(146_000_000)),
    metric("d", long(3_459)),
  ]);
  handler.close();
  expect((await received(1))[0]!.split("\n")).toEqual([
    "testing.gauge:123.000000|g|#global:tag",
    "testing.counter:456|c|#global:tag,tag:value,path:/a_b,response:200",
    "testing.distribution:146.000000|ms|#global:tag",
    "testing.distribution:3459.000000|h|#global:tag",
  ]);
});

test("a datagram holds whole lines, as many as fit; a rate is written to the daemon", async () => {
  const { address, received } = await daemon();
  const environment = adapterEnvironment();
  const metrics = { [`m${"x".repeat(199)}`]: { type: "COUNTER" }, long: { type: "COUNTER" } };
  const parameters = { address, flushBytes: 440, samplingRate: 0.999999999, metrics };
  const handler = openRemote(statsd, parameters, environment);
  closing.push(() => handler.close());
  const name = Object.keys(metrics)[0]!;
  await handler.report!([1, 2, 3].map((n) => metric(name, long(n))));
  environment.clock.advance(300);
  const datagrams = await received(2);
  expect(datagrams.map((datagram) => datagram.split("\n").length)).toEqual([2, 1]);
  expect(datagrams[0]).toEndWith(":2|c|@0.999999999");
});

test("without a daemon samples are lost and counted, and nobody waits", async () => {
  const environment = adapterEnvironment();
  const parameters = { address: "no-such-host.invalid:8125", metrics: { c: { type: "COUNTER" } } };
  const handler = openRemote(statsd, parameters, environment);
  closing.push(() => handler.close());
  expect(await handler.report!([metric("c", long(1)), metric("c", long(1))])).toEqual([]);
  environment.clock.advance(300);
  const { families, values } = environment.registry.view();
  const lost = families.find((family) => family.name === "mesh_statsd_lost_total")!.series[0]!;
  while (values[lost.slot] !== 2) await Bun.sleep(1);
});

test.each([
  ["localhost:8125", { host: "localhost", port: 8_125 }],
  [":8125", { host: "localhost", port: 8_125 }],
  ["[::1]:1", { host: "::1", port: 1 }],
  ["localhost:9999999", undefined],
  ["localhost:0", undefined],
  ["nothostport", undefined],
  ["::1:8125", undefined],
  ["[::1:]:8125", undefined],
])("the address %p", (written, is) => {
  expect(parseHostPort(written)).toEqual(is);
});

test.each<[parameters: object, problems: string[]]>([
  [{}, []],
  [{ flushDuration: "-1s" }, ["flushDuration: must be at least 0s, not -1s"]],
  [{ samplingRate: 1 }, []],
  [{ samplingRate: 1.01 }, ["samplingRate: must be more than 0 and at most 1, not 1.01"]],
  [{ samplingRate: -1 }, ["samplingRate: must be more than 0 and at most 1, not -1"]],
  [{ flushBytes: -1 }, ["flushBytes: must be between 1 and 65000, not -1"]],
  [{ address: "a" }, ['address: "a" is no host:port']],
  [{ metrics: { a: {} } }, ["metrics.a: has a type that is not COUNTER, GAUGE or DISTRIBUTION"]],
  [
    { metrics: { a: { type: "GAUGE", nameTemplate: "{{if 1}}" } } },
    ['metrics.a.nameTemplate: knows {{.name}} and {{index . "name"}}, and not {{if 1}}'],
  ],
  [
    { metrics: { a: { type: "GAUGE", nameTemplate: "{{.a" } } },
    ['metrics.a.nameTemplate: has "{{" without "}}"'],
  ],
])("parameters %j", (parameters, problems) => {
  expect(problemsOf(statsd, parameters)).toEqual(problems);
});
