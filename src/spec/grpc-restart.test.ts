/** Streams of gRPC that are open while a sidecar is restarted end when their callers end them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import {
  managerPorts,
  managerUrl,
  requestsTotal,
  type Sidecar,
  startManager,
  startSidecar,
  startSidecarWith,
  untilKnown,
} from "./mesh.ts";
import { buildFixtures, installed } from "./peer.ts";
import { Stage, until } from "./process.ts";

const { missing, skipped } = installed("node");
const stage = new Stage();
const sidecars: { caller?: Sidecar; callee?: Sidecar } = {};

beforeAll(async () => {
  if (skipped) return;
  await buildFixtures(stage, "grpc-streams", "grpc-server");
  const ports = managerPorts();
  await startManager(stage, ports);
  const server = stage.run(["node", join(stage.directory, "grpc-server.mjs")]);
  const port = (): string => /listening (\d+)/.exec(server.output())?.[1] ?? "";
  await until("the server", () => port() !== "");
  const flags = ["--manager", managerUrl(ports), "--drain-seconds", "60"];
  const service = ["--service", "echo.default", "--protocol", "grpc", "--service-port", "8000"];
  sidecars.callee = await startSidecar(stage, [...flags, ...service, "--app-port", port()]);
  sidecars.caller = await startSidecar(stage, [...flags, "--service", "client.default"]);
  await untilKnown(sidecars.caller, "echo");
}, 60_000);

afterAll(() => stage.close());

test.skipIf(skipped).each(["caller", "callee"] as const)(
  "100 streams across a restart of the %s's sidecar: all end well, new calls go to its successor",
  async (which) => {
    expect(missing).toBe("");
    const former = sidecars[which]!;
    const address = `127.0.0.1:${sidecars.caller!.outbound}`;
    const program = join(stage.directory, "grpc-streams.mjs");
    const client = stage.run(["node", program, address, "echo:8000"]);
    const says = (what: string): Promise<void> =>
      until(`the client to say "${what}"; it said: ${client.output()}`, () => {
        if (client.child.exitCode !== null && !client.output().includes(what))
          throw new Error(client.output());
        return client.output().includes(what);
      });
    await says("open");
    const next = await startSidecarWith(stage, [...former.args, "--restart"], former);
    sidecars[which] = next;
    await until("the former to drain", () => former.running.output().includes("a successor has"));
    client.child.kill("SIGUSR2");
    await says("anew 50");
    expect(former.running.child.exitCode).toBeNull();
    // A call is counted once its end has been passed on. The first on each of the four connections
    // may be on its way to the former when that says its farewell.
    let counted = 0;
    await until("the successor to have them", async () => {
      counted = await requestsTotal(next);
      return counted >= 46;
    }).catch((cause: Error) => expect.unreachable(`${cause.message}; it has ${counted}`));
    await says("ended 100");
    expect(await client.child.exited).toBe(0);
    expect(await former.running.child.exited).toBe(0);
  },
  120_000,
);
