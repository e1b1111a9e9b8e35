/**
 * gRPC as its users have it, client and server each in a process of its own, through two sidecars:
 * grpc-js on Node.js and on Bun, Go's, Python's.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type GrpcCase, grpcCases } from "./fixture/grpc-echo.ts";
import { managerPorts, managerUrl, startManager, startSidecar, untilKnown } from "./mesh.ts";
import {
  goPeer,
  installed,
  makeGo,
  makePython,
  type Peer,
  pythonEnvironment,
  pythonPeer,
  run,
} from "./peer.ts";
import { Stage, until } from "./process.ts";

const PORT = 50_051;
const stage = new Stage();
let outbound: number;

type Runtime = "node" | "bun" | "go" | "python";

const [go, python] = await Promise.all([makeGo(), makePython()]);
const peers: Readonly<Record<Runtime, Peer>> = {
  node: installed("node"),
  bun: installed(),
  go,
  python,
};

function program(runtime: Runtime, part: "client" | "server"): string[] {
  const built = join(stage.directory, `grpc-${part}.js`);
  return {
    node: ["node", built],
    bun: [process.execPath, built],
    go: [goPeer, part],
    python: ["python3", pythonPeer, part],
  }[runtime];
}

const here = (Object.keys(peers) as Runtime[]).filter((runtime) => peers[runtime].missing === "");

beforeAll(async () => {
  await Bun.build({
    entrypoints: ["client", "server"].map((part) => `${import.meta.dir}/fixture/grpc-${part}.ts`),
    target: "node",
    outdir: stage.directory,
  });
  // Node.js takes what is built for a module only where something says so.
  stage.file("package.json", '{ "type": "module" }');
  const ports = managerPorts();
  await startManager(stage, ports);
  const manager = ["--manager", managerUrl(ports)];
  const [caller] = await Promise.all([
    startSidecar(stage, [...manager, "--service", "client.default"]),
    ...here.map(async (runtime) => {
      const server = stage.run(program(runtime, "server"), pythonEnvironment);
      const port = (): string => /listening (\d+)/.exec(server.output())?.[1] ?? "";
      await until(`the ${runtime} server`, () => port() !== "");
      await startSidecar(stage, [
        ...[...manager, "--service", `echo-${runtime}.default`, "--protocol", "grpc"],
        ...["--app-port", port(), "--service-port", String(PORT)],
      ]);
    }),
  ]);
  outbound = caller.outbound;
  await untilKnown(caller, ...here.map((runtime) => `echo-${runtime}`));
}, 60_000);

afterAll(() => stage.close());

const some: readonly GrpcCase[] = [
  "unary",
  "both streaming, a message only after the answer to the one before",
  "a deadline ends a call on both sides",
];
const pairs: readonly (readonly [client: Runtime, server: Runtime, readonly string[]])[] = [
  ["node", "node", grpcCases],
  ["bun", "bun", grpcCases],
  ["node", "bun", some],
  ["bun", "node", some],
  ["go", "go", [...some, "the server's services by reflection, and its health"]],
  ["go", "node", some],
  ["node", "go", some],
  ["python", "python", some],
  ["python", "go", some],
  ["bun", "python", some],
];

for (const [client, server, cases] of pairs)
  test.skipIf(peers[client].skipped || peers[server].skipped).each([...cases])(
    `${client} to ${server}: %s`,
    async (name) => {
      expect([peers[client].missing, peers[server].missing]).toEqual(["", ""]);
      const target = [`127.0.0.1:${outbound}`, `echo-${server}:${PORT}`, name];
      const command = [...program(client, "client"), ...target];
      const { code, out, err } = await run(command, pythonEnvironment, 30_000);
      expect({ code, said: out + err }).toEqual({ code: 0, said: "" });
    },
    40_000,
  );
