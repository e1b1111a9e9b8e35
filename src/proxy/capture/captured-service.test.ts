/** From a configuration to names, addresses, and what serves them. */
import { expect, test } from "bun:test";
import { config, published } from "../../testing/snapshot-sample.ts";
import { capturedServices } from "./captured-service.ts";
import { DestinationTable } from "./destination-table.ts";

const none = new Map<string, string>();
const forward = (cluster: string) => ({ forward: { clusters: [{ cluster, weight: 100 }] } });
const cluster = (name: string, discovery = "DISCOVERY_ENDPOINTS") => ({
  name,
  service: name,
  discovery,
});
const mesh = {
  clusters: [cluster("reviews"), cluster("redis"), cluster("outside", "DISCOVERY_ORIGINAL")],
  virtualHosts: [
    {
      name: "reviews.default.svc.cluster.local:80",
      domains: ["Reviews", "reviews:80", "reviews.default.svc.cluster.local:80"],
      routes: [forward("reviews")],
    },
    {
      name: "reviews.default.svc.cluster.local:9080",
      domains: ["reviews:9080", "reviews.default.svc.cluster.local:9080"],
      routes: [forward("reviews")],
    },
    {
      name: "redis.default.svc.cluster.local:6379 (manager)",
      domains: ["redis:6379", "10.0.0.6:6379", "[fd00::6]:6379", "[fd00::6]"],
      routes: [forward("redis")],
    },
    { name: "api.example:443", domains: ["api.example:443"], routes: [forward("outside")] },
    { name: "wild", domains: ["*.example.com", "*"], routes: [forward("reviews")] },
    { name: "10.9.9.9:80", domains: ["10.9.9.9", "10.9.9.9:80"], routes: [forward("reviews")] },
  ],
};

test("a service has each of its names and ports; where it has no address, one is made up", () => {
  const { services, allocated } = capturedServices(config(mesh), none);
  expect(services).toEqual([
    {
      host: "reviews.default.svc.cluster.local",
      names: ["reviews", "reviews.default.svc.cluster.local"],
      addresses: ["240.240.188.133"],
      ports: [
        { port: 80, virtualHost: 0 },
        { port: 9080, virtualHost: 1 },
      ],
    },
    {
      host: "redis.default.svc.cluster.local",
      names: ["redis"],
      addresses: ["10.0.0.6", "fd00::6"],
      ports: [{ port: 6379, virtualHost: 2 }],
    },
  ]);
  expect([...allocated]).toEqual([["reviews.default.svc.cluster.local", "240.240.188.133"]]);
});

test("an address that was made up is kept", () => {
  const former = new Map([["reviews.default.svc.cluster.local", "240.240.9.9"]]);
  const { services, allocated } = capturedServices(config(mesh), former);
  expect(services[0]?.addresses).toEqual(["240.240.9.9"]);
  expect(allocated).toEqual(former);
});

const rows: readonly (readonly [address: string, port: number, found: string | undefined])[] = [
  ["240.240.188.133", 9080, "reviews.default.svc.cluster.local:9080"],
  ["240.240.188.133", 80, "reviews.default.svc.cluster.local:80"],
  ["240.240.188.133", 81, undefined],
  ["10.0.0.6", 6379, "redis.default.svc.cluster.local:6379 (manager)"],
  ["fd00::6", 6379, "redis.default.svc.cluster.local:6379 (manager)"],
  ["10.0.0.7", 6379, undefined],
];

test.each([...rows])("a connection to %s %d finds its virtual host", (address, port, found) => {
  const { virtualHosts } = published(mesh);
  const { services } = capturedServices(config(mesh), none);
  const table = new DestinationTable(services, virtualHosts);
  expect(table.find({ address, port })?.virtualHost.name).toBe(found);
  expect(table.knows(address)).toBe(address !== "10.0.0.7");
});

test("an empty configuration captures nothing by name", () => {
  expect(capturedServices(config({}), none)).toEqual({ services: [], allocated: none });
});
