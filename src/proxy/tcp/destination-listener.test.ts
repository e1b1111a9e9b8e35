/** Local ports that stand for a destination, and what is done about those that nobody knows. */
import { afterEach, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { compileForRelays, relayEnvironment } from "../../testing/relay-fixture.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { listenForDestination } from "./destination-listener.ts";
import { TargetFinder, type TcpCall } from "./find-target.ts";
import { TcpRelays } from "./relays.ts";
import { UnknownHosts } from "./unknown-hosts.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

type ConfigInit = MessageInitShape<typeof ProxyConfigSchema>;

/** One destination, "db:5432", with one endpoint; and the settings given. */
function mesh(port: number, more: ConfigInit = {}) {
  const metrics = new Metrics();
  const lines: string[] = [];
  const log = new Log("proxy", { level: "info" }, (line) => void lines.push(line));
  const config = create(ProxyConfigSchema, {
    version: "1",
    clusters: [{ name: "db", service: "db", port: 5_432 }],
    endpointSets: [{ cluster: "db", endpoints: [{ address: "127.0.0.1", port }] }],
    tcpDestinations: [
      {
        name: "db:5432",
        port: 5_432,
        addresses: ["10.0.0.9"],
        routes: [{ name: "default-route", clusters: [{ cluster: "db", weight: 1 }] }],
      },
    ],
    ...more,
  });
  const snapshot = compileForRelays(config, metrics, systemClock);
  closers.push(() => snapshot.close());
  const env = relayEnvironment({ clock: systemClock });
  const relays = new TcpRelays({ env, clock: systemClock, metrics });
  closers.push(() => relays.close());
  const targets = new TargetFinder(new UnknownHosts(log, systemClock));
  return { snapshot, relays, targets, lines };
}

function serve(): FakeUpstream {
  const service = new FakeUpstream({ onConnection: (reply) => reply.send("hello") });
  closers.push(() => service.close());
  return service;
}

async function clientOf(
  { relays, targets, snapshot }: ReturnType<typeof mesh>,
  destination: string,
  view: () => Snapshot | undefined = () => snapshot,
): Promise<RawClient> {
  const parts = { relays, targets, view, admits: () => true };
  const listener = listenForDestination({ hostname: "127.0.0.1", port: 0 }, destination, parts);
  closers.push(() => listener.stop());
  const client = await RawClient.connect({ port: listener.port });
  closers.push(() => client.terminate());
  return client;
}

test("a port that stands for a destination leads to its endpoints", async () => {
  const client = await clientOf(mesh(serve().port), "db:5432");
  expect(await client.takeBytes(5)).toBe("hello");
});

test("a destination that nobody knows is refused, and named in the log", async () => {
  const all = mesh(serve().port);
  const client = await clientOf(all, "other:5432");
  await client.until(() => client.wasReset, "the reset");
  expect(all.lines.join("")).toContain("refused: a destination");
  expect(all.lines.join("")).toContain("host=other:5432");
});

test("before there is a configuration nobody is there", async () => {
  const client = await clientOf(mesh(serve().port), "db:5432", () => undefined);
  await client.until(() => client.wasReset, "the reset");
});

const call = (address: string, port: number, more: Partial<TcpCall> = {}): TcpCall => ({
  from: "outbound",
  destination: { address, port },
  source: undefined,
  serverName: "",
  named: "",
  ...more,
});

test("a captured connection goes by its address, or by the name that is known for it", () => {
  const { snapshot, targets } = mesh(1);
  const found = (one: TcpCall) => targets.find(snapshot, one, "127.0.0.1")?.route.name;
  expect(found(call("10.0.0.9", 5_432))).toBe("default-route");
  expect(found(call("240.0.0.1", 5_432, { named: "db:5432" }))).toBe("default-route");
  expect(found(call("240.0.0.1", 5_432))).toBeUndefined();
});

test("outside of the mesh it goes where it wanted to, where the mesh allows that", async () => {
  const outside = serve();
  const any = mesh(1, { settings: { outboundPolicy: 1 } });
  const target = any.targets.find(any.snapshot, call("127.0.0.1", outside.port), "127.0.0.1");
  expect(target?.route.clusters.choose(0).name).toBe("PassthroughCluster");
  expect(any.lines.join("")).toContain(`passed on: a destination that the mesh does not know`);
  const registryOnly = mesh(1, { settings: { outboundPolicy: 2 } });
  expect(
    registryOnly.targets.find(registryOnly.snapshot, call("192.0.2.1", 80), "127.0.0.1"),
  ).toBeUndefined();
  expect(registryOnly.lines.join("")).toContain("refused");
});

test("what is outside is reached at the address that was called", async () => {
  const outside = serve();
  const any = mesh(1, { settings: { outboundPolicy: 1 } });
  const { listenTcp } = await import("../../io/tcp-listener.ts");
  const { relayHandlers } = await import("./relays.ts");
  const handlers = relayHandlers((socket) => {
    any.relays.begin(socket, any.targets.find(any.snapshot, call("127.0.0.1", outside.port), "")!);
  });
  const listener = listenTcp({ hostname: "127.0.0.1", port: 0 }, handlers);
  closers.push(() => listener.stop());
  const client = await RawClient.connect({ port: listener.port });
  closers.push(() => client.terminate());
  expect(await client.takeBytes(5)).toBe("hello");
});
