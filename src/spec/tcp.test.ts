/** Databases behind two sidecars: their own clients see no difference. */
import { afterAll, describe, expect, test } from "bun:test";
import { freePorts } from "../testing/free-port.ts";
import { RawClient } from "../testing/raw-client.ts";
import { type DatabaseKind, databases } from "./database.ts";
import { managerPorts, managerUrl, startManager, startSidecar, startSidecarWith } from "./mesh.ts";
import { Stage, until } from "./process.ts";

const stages: Stage[] = [];
afterAll(() => Promise.all(stages.map((stage) => stage.close())));

const CELL = "x".repeat(1_000_000);

/** What is typed, and what is answered. */
const dialogues: Readonly<Record<string, readonly (readonly [words: string, answer: string])[]>> = {
  PostgreSQL: [
    ["select 6 * 7;", "42"],
    ["create table t (a int); insert into t select generate_series(1, 100000);", ""],
    ["select count(*), sum(a) from t;", "100000|5000050000"],
    ["select repeat('x', 1000000);", CELL],
    [`select length('${CELL}');`, "1000000"],
  ],
  Redis: [
    ["PING", "PONG"],
    ["SET a 1\nINCR a\nGET a", "OK\n2\n2"],
    [`SET large ${CELL}\nSTRLEN large`, "OK\n1000000"],
    ["GET large", CELL],
  ],
  MariaDB: [
    ["select 6 * 7;", "42"],
    ["create database d; create table d.t (a int); insert into d.t values (1), (2);", ""],
    ["select count(*), sum(a) from d.t;", "2\t3"],
    ["select repeat('x', 1000000);", CELL],
    [`select length('${CELL}');`, "1000000"],
  ],
};

interface Meshed {
  /** Where clients call: a port of the caller's sidecar. */
  readonly port: number;
  ask(port: number, words: string): Promise<string>;
  metrics(): Promise<string>;
}

/** A server with a sidecar, and another sidecar with a local port for it. */
async function meshed(kind: DatabaseKind): Promise<Meshed> {
  const stage = new Stage();
  stages.push(stage);
  const found = kind.find();
  if (found === undefined) throw new Error(`${kind.name} is not installed`);
  const database = await kind.start(stage, found);
  const ports = managerPorts();
  await startManager(stage, ports);
  const manager = ["--manager", managerUrl(ports)];
  await startSidecar(stage, [
    ...[...manager, "--service", "db.default", "--protocol", "tcp"],
    ...["--app-port", String(database.port), "--service-port", "7000"],
  ]);
  const [port = 0] = freePorts(1);
  const caller = await startSidecar(stage, [
    ...[...manager, "--service", "client.default", "--tcp-listen", `${port}=db:7000`],
  ]);
  const metrics = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${caller.admin}/stats/prometheus`);
    return await response.text();
  };
  await until(`${kind.name} through the mesh`, async () => {
    try {
      await database.ask(port, kind.name === "Redis" ? "PING" : "select 1;");
      return true;
    } catch {
      return false;
    }
  });
  return { port, ask: database.ask, metrics };
}

for (const kind of databases) {
  const isMissing = kind.find() === undefined && process.env.CI !== "true";
  describe.skipIf(isMissing)(`${kind.name}, as its own client sees it`, () => {
    test("answers, stores and sends what is large", async () => {
      const { port, ask, metrics } = await meshed(kind);
      for (const [words, answer] of dialogues[kind.name]!) {
        const said = await ask(port, words);
        expect(said === answer ? "" : `${words.slice(0, 80)}: ${said.slice(0, 200)}`).toBe("");
      }
      const [first = ["", ""]] = dialogues[kind.name]!;
      const answers = await Promise.all(Array.from({ length: 8 }, () => ask(port, first[0])));
      expect(new Set(answers).size).toBe(1);
      const text = await metrics();
      const service = 'destination_service="db.default.svc.cluster.local"';
      const opened = text
        .split("\n")
        .find(
          (line) => line.startsWith("istio_tcp_connections_opened_total") && line.includes(service),
        );
      expect(Number(opened?.split(" ").at(-1))).toBeGreaterThan(10);
    }, 90_000);
  });
}

test("a successor takes the local port; open connections go on until the deadline", async () => {
  const stage = new Stage();
  stages.push(stage);
  const echo = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket, bytes) => void socket.write(bytes) },
  });
  const rules = stage.file(
    "rules/echo.yaml",
    `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: echo }
spec:
  hosts: [echo.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 7000, name: tcp, protocol: TCP, targetPort: ${echo.port} }]
  endpoints: [{ address: 127.0.0.1 }]
`,
  );
  const [port = 0] = freePorts(1);
  const standalone = ["--standalone", "-f", rules, "--tcp-listen", `${port}=echo:7000`];
  const first = await startSidecar(stage, standalone);
  const open = await RawClient.connect({ port });
  open.send("one");
  expect(await open.takeBytes(3)).toBe("one");
  const { running: _, args, ...ports } = first;
  await startSidecarWith(stage, [...args, "--restart"], ports);
  await until("the first to drain", () => first.running.output().includes("a successor has"));
  const fresh = await RawClient.connect({ port });
  fresh.send("two");
  expect(await fresh.takeBytes(3)).toBe("two");
  open.send("still");
  expect(await open.takeBytes(5)).toBe("still");
  expect(await first.running.child.exited).toBe(0);
  await open.untilEnd();
  expect(open.wasReset).toBe(false);
  fresh.send("three");
  expect(await fresh.takeBytes(5)).toBe("three");
  fresh.close();
  echo.stop(true);
}, 60_000);
