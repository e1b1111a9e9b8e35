/**
 * gRPC as its users have it, client and server each in a process of its own, through two sidecars:
 * grpc-js on Node.js and on Bun, Go's, Python's.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type GrpcCase, grpcCases } from "./fixture/grpc-echo.ts";
import { type Meeting, requestsTotal, startMeeting } from "./mesh.ts";
import {
  buildFixtures,
  goPeer,
  installed,
  makeGo,
  makePython,
  type Peer,
  pythonEnvironment,
  pythonPeer,
  run,
} from "./peer.ts";
import { Stage } from "./process.ts";

const stage = new Stage();
let meeting: Meeting;

type Runtime = "node" | "bun" | "go" | "python";

const [go, python] = await Promise.all([makeGo(), makePython()]);
const peers: Readonly<Record<Runtime, Peer>> = {
  node: installed("node"),
  bun: installed(),
  go,
  python,
};

function program(runtime: Runtime, part: "client" | "server"): string[] {
  const built = join(stage.directory, `grpc-${part}.mjs`);
  return {
    node: ["node", built],
    bun: [process.execPath, built],
    go: [goPeer, part],
    python: ["python3", pythonPeer, part],
  }[runtime];
}

const here = (Object.keys(peers) as Runtime[]).filter((runtime) => peers[runtime].missing === "");

beforeAll(async () => {
  await buildFixtures(stage, "grpc-client", "grpc-server");
  const served = here.map((runtime) => ({
    service: `echo-${runtime}`,
    protocol: "grpc" as const,
    command: program(runtime, "server"),
    environment: pythonEnvironment,
  }));
  meeting = await startMeeting(stage, served);
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
      const target = [`127.0.0.1:${meeting.caller.outbound}`, `echo-${server}:8000`, name];
      const command = [...program(client, "client"), ...target];
      const { code, out, err } = await run(command, pythonEnvironment, 30_000);
      expect({ code, said: out + err }).toEqual({ code: 0, said: "" });
    },
    40_000,
  );

for (const client of ["node", "bun", "python", "go"] as const)
  test.skipIf(peers[client].skipped)(
    `${client}, started by the sidecar, finds a service by the proxy that it is given`,
    async () => {
      expect(peers[client].missing).toBe("");
      const name = "echo-node:8000";
      for (const one of some) {
        const args = [...program(client, "client"), name, name, one];
        const ports = ["outbound", "inbound", "admin", "readiness"];
        const any = ports.flatMap((port) => [`--${port}`, "127.0.0.1:0"]);
        const state = ["--state-dir", join(stage.directory, `wrapped-${client}`)];
        const { child, output } = stage.mesh(
          ["proxy", "--manager", meeting.manager, ...any, ...state, "--", ...args],
          pythonEnvironment,
        );
        expect({ one, code: await child.exited, output: output() }).toMatchObject({ one, code: 0 });
      }
    },
    60_000,
  );

test("what was called went through a sidecar on each side", async () => {
  const sidecars = [meeting.caller, ...meeting.callees.values()];
  const counts = await Promise.all(sidecars.map(requestsTotal));
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(8);
});
