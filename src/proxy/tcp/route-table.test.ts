/** Where connections go that are passed on as they are, compiled from what the manager sends. */

import { describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ProxyConfig,
  ProxyConfigSchema,
  type TcpDestinationSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem, type Problem } from "../../core/problem.ts";
import { seededRandom } from "../../core/random.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { expectRatio } from "../../testing/growth.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { compileSnapshot } from "../snapshot/compile.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { TcpRouteTable } from "./route-table.ts";

type DestinationInit = MessageInitShape<typeof TcpDestinationSchema>;

const to = (cluster: string, more: object = {}) => ({
  name: cluster,
  clusters: [{ cluster, weight: 1 }],
  ...more,
});

function compiled(...tcpDestinations: DestinationInit[]): Snapshot | Problem[] {
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  const config: ProxyConfig = create(ProxyConfigSchema, {
    version: "1",
    clusters: names.map((name) => ({ name, service: name, port: 1 })),
    tcpDestinations,
  });
  return compileSnapshot(config, {
    clock: new VirtualClock(),
    random: seededRandom(1),
    metrics: new Metrics(),
    resolve: async () => [],
    source: { service: "", version: "" },
    former: undefined,
  });
}

function tableOf(...destinations: DestinationInit[]): TcpRouteTable {
  const snapshot = compiled(...destinations);
  if (Array.isArray(snapshot)) throw new Error(snapshot.map(formatProblem).join("; "));
  return snapshot.tcp;
}

const table = tableOf(
  { name: "mysql:3306", port: 3_306, addresses: ["10.0.0.7"], routes: [to("a")] },
  { name: "block:3306", port: 3_306, addresses: ["10.0.0.0/8", "fd00::/8"], routes: [to("b")] },
  { name: "smaller:3306", port: 3_306, addresses: ["10.0.0.0/24"], routes: [to("c")] },
  { name: "web:443", port: 443, serverNames: ["a.example"], routes: [to("a")] },
  { name: "wild:443", port: 443, serverNames: ["*.example"], routes: [to("b")] },
  { name: "wilder:443", port: 443, serverNames: ["*.x.example", "*"], routes: [to("c")] },
  { name: "vip:443", port: 443, addresses: ["10.0.0.9"], routes: [to("d")] },
  { name: "same:443", port: 443, addresses: ["10.0.0.9"], routes: [to("e")] },
  { name: "web2:443", port: 443, serverNames: ["a.example"], routes: [to("f")] },
  { name: "redis:6379", port: 6_379, routes: [to("e")] },
  { name: "redis2:6379", port: 6_379, routes: [to("f")] },
  { name: "any", port: 0, addresses: ["192.0.2.0/24"], routes: [to("g")] },
);

describe("a connection goes by port, address and name", () => {
  const rows: readonly (readonly [to: string, name: string, cluster: string | undefined])[] = [
    ["10.0.0.7:3306", "", "a"],
    ["10.0.0.8:3306", "", "c"],
    ["10.0.1.7:3306", "", "b"],
    ["fd12::1:3306", "", "b"],
    ["::ffff:10.0.0.7:3306", "", "a"],
    ["11.0.0.1:3306", "", undefined],
    ["10.0.0.7:3307", "", undefined],
    ["1.1.1.1:443", "a.example", "a"],
    ["1.1.1.1:443", "A.Example", "a"],
    ["1.1.1.1:443", "a.example.", "a"],
    ["1.1.1.1:443", "b.example", "b"],
    ["1.1.1.1:443", "\u0161.example", "b"],
    ["1.1.1.1:443", `${"a".repeat(250)}.example`, undefined],
    ["1.1.1.1:443", "b.x.example", "c"],
    ["1.1.1.1:443", "other", "c"],
    ["1.1.1.1:443", "", undefined],
    ["10.0.0.9:443", "", "d"],
    ["10.0.0.9:443", "a.example", "d"],
    ["1.1.1.1:6379", "", "e"],
    ["1.1.1.1:6379", "any.name", "e"],
    ["not an address:6379", "", "e"],
    ["not an address:3306", "", undefined],
    ["192.0.2.5:9999", "", "g"],
    ["192.0.2.5:3306", "", "g"],
    ["192.0.3.5:9999", "", undefined],
  ];
  for (const [destination, serverName, cluster] of rows)
    test(`to ${destination} ${serverName}: ${cluster ?? "nowhere"}`, () => {
      const colon = destination.lastIndexOf(":");
      const address = destination.slice(0, colon);
      const port = Number(destination.slice(colon + 1));
      expect(table.find({ address, port }, serverName, "127.0.0.1")?.name).toBe(cluster!);
    });
});

describe("routes of one destination", () => {
  const ruled = tableOf(
    {
      name: "mysql:3306",
      port: 3_306,
      routes: [
        to("a", { destinationSubnets: ["10.1.0.0/16"], sourceSubnets: ["192.0.2.0/24"] }),
        to("b", { sourceSubnets: ["192.0.2.0/24", "fd00::/8"] }),
        to("c", { destinationSubnets: ["10.1.0.0/16"] }),
      ],
    },
    { name: "rest:3306", port: 0, routes: [to("d")] },
  );
  const rows: readonly (readonly [to: string, from: string, cluster: string])[] = [
    ["10.1.2.3", "192.0.2.9", "a"],
    ["10.2.2.3", "192.0.2.9", "b"],
    ["10.2.2.3", "fd00::9", "b"],
    ["10.1.2.3", "192.0.3.9", "c"],
    ["10.1.2.3", "", "c"],
    ["10.2.2.3", "192.0.3.9", "d"],
  ];
  for (const [address, from, cluster] of rows)
    test(`to ${address} from ${from || "somebody"}: ${cluster}`, () => {
      expect(ruled.find({ address, port: 3_306 }, "", from)?.name).toBe(cluster);
    });

  test("hold for a listener of its own too, where no address was called", () => {
    expect(ruled.findNamed("mysql:3306", undefined, "192.0.2.9")?.name).toBe("b");
    expect(ruled.findNamed("mysql:3306", undefined, "127.0.0.1")).toBeUndefined();
    expect(ruled.findNamed("rest:3306", undefined, "127.0.0.1")?.name).toBe("d");
    expect(ruled.findNamed("other:3306", undefined, "127.0.0.1")).toBeUndefined();
  });
});

test("weights are shares of the connections", () => {
  const clusters = [
    { cluster: "a", weight: 90 },
    { cluster: "b", weight: 10 },
  ];
  const weighted = tableOf({ name: "x:1", port: 1, routes: [{ name: "r", clusters }] });
  const route = weighted.find({ address: "1.1.1.1", port: 1 }, "", "");
  expect(route?.clusters.choose(0.89).name).toBe("a");
  expect(route?.clusters.choose(0.91).name).toBe("b");
});

test("all that is wrong is reported at once, each with its place", () => {
  const origin = { file: "rules.yaml", line: 7, column: 1, object: "RouteRule/default/x" };
  const problems = compiled(
    { name: "x:1", port: 70_000, addresses: ["10.0.0.0/40"], serverNames: ["a b"] },
    { name: "x:1", port: 1, routes: [{ name: "r", origin, clusters: [{ cluster: "none" }] }] },
    { name: "y:1", port: 1, routes: [{ name: "r", sourceSubnets: ["x"], proxyProtocol: 3 }] },
  );
  expect(Array.isArray(problems) && problems.map(formatProblem)).toEqual([
    "proxy config 1: tcp_destinations[x:1].port: 70000 is not a port (0 to 65535)",
    'proxy config 1: tcp_destinations[x:1].server_names: "a b" is not a host name',
    "proxy config 1: tcp_destinations[x:1].addresses: " +
      '"10.0.0.0/40" is not an IP address or block of addresses',
    "rules.yaml:7:1: tcp_destinations[x:1]: another destination has this name",
    "rules.yaml:7:1: tcp_destinations[x:1].routes[0].clusters[0].cluster: " +
      'no cluster is named "none"',
    "proxy config 1: tcp_destinations[y:1].routes[0].source_subnets: " +
      '"x" is not an IP address or block of addresses',
    "proxy config 1: tcp_destinations[y:1].routes[0].clusters: " +
      "the weights of a route add up to more than 0",
    "proxy config 1: tcp_destinations[y:1].routes[0].proxy_protocol: " +
      "3 is not a version (1 or 2)",
  ]);
});

test("thousands of destinations of one port take no longer than a few", () => {
  const many = (count: number): TcpRouteTable =>
    tableOf(
      ...Array.from({ length: count }, (_, i) => ({
        name: `s${i}:3306`,
        port: 3_306,
        addresses: [`10.0.${i >> 8}.${i & 255}`],
        routes: [to("a")],
      })),
    );
  const [few, thousands] = [many(8), many(4_000)];
  const find = (one: TcpRouteTable) => (): void => {
    for (let i = 0; i < 20_000; i++) one.find({ address: "10.0.0.7", port: 3_306 }, "", "");
  };
  expectRatio({ base: find(few), other: find(thousands), below: 4 });
});
