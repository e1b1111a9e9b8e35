/** A small mesh on a stage: one manager, sidecars with applications, and a caller's sidecar. */
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { type Running, type Stage, until } from "./process.ts";

export interface ManagerPorts {
  readonly api: number;
  readonly http: number;
}

export interface Sidecar {
  readonly running: Running;
  readonly outbound: number;
  readonly inbound: number;
  readonly admin: number;
  readonly readiness: number;
  readonly args: readonly string[];
}

export function managerPorts(): ManagerPorts {
  const [api, http] = freePorts(2);
  return { api: api!, http: http! };
}

export function managerUrl(ports: ManagerPorts): string {
  return `http://127.0.0.1:${ports.api}`;
}

/** Starts a manager; the same ports and stage give the same data again. */
export async function startManager(stage: Stage, ports: ManagerPorts): Promise<Running> {
  const running = stage.mesh([
    "manager",
    ...["--listen", `127.0.0.1:${ports.api}`, "--http", `127.0.0.1:${ports.http}`],
    ...["--metrics", "127.0.0.1:0", "--data-dir", join(stage.directory, "manager")],
  ]);
  await until(`the manager to listen; it said: ${running.output()}`, () => answers(ports.http));
  return running;
}

/** Starts a sidecar and waits until it says that it is ready. */
export async function startSidecar(
  stage: Stage,
  args: readonly string[],
  command: readonly string[] = [],
): Promise<Sidecar> {
  const [outbound, inbound, admin, readiness] = freePorts(4);
  const ports = [
    ...["--outbound", `127.0.0.1:${outbound}`, "--inbound", `127.0.0.1:${inbound}`],
    ...["--admin", `127.0.0.1:${admin}`, "--readiness", `127.0.0.1:${readiness}`],
    ...["--state-dir", join(stage.directory, `state-${outbound}`)],
    ...(args.includes("--drain-seconds") ? [] : ["--drain-seconds", "2"]),
  ];
  const all = ["proxy", ...ports, ...args, ...(command.length === 0 ? [] : ["--", ...command])];
  return await startSidecarWith(stage, all, {
    outbound: outbound!,
    inbound: inbound!,
    admin: admin!,
    readiness: readiness!,
  });
}

/** Starts a sidecar again with what it was started with before. */
export async function startSidecarWith(
  stage: Stage,
  args: readonly string[],
  ports: Omit<Sidecar, "running" | "args">,
): Promise<Sidecar> {
  const running = stage.mesh(args);
  await until(`the sidecar ${args.join(" ")} to be ready`, () => ready(ports.readiness, running));
  return { ...ports, running, args };
}

/** Ready, by the port that a platform would ask. */
async function ready(port: number, running: Running): Promise<boolean> {
  if (running.child.exitCode !== null) throw new Error(`it ended: ${running.output()}`);
  return (await status(port, "/healthz/ready")) === 200;
}

export async function status(port: number, path: string, host?: string): Promise<number> {
  try {
    const headers = host === undefined ? {} : { host };
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

export interface Served {
  /** Short name; port 8000. */
  readonly service: string;
  /** Absent: not declared. */
  readonly protocol?: "http" | "http2" | "grpc";
  /** Says `listening PORT`. */
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Meeting {
  /** URL. */
  readonly manager: string;
  readonly caller: Sidecar;
  /** Of each service, by its short name. */
  readonly callees: ReadonlyMap<string, Sidecar>;
}

/** A manager, servers behind a sidecar each, and a caller's sidecar that knows all of them. */
export async function startMeeting(stage: Stage, served: readonly Served[]): Promise<Meeting> {
  const ports = managerPorts();
  await startManager(stage, ports);
  const manager = ["--manager", managerUrl(ports)];
  const callees = new Map<string, Sidecar>();
  const start = async (one: Served): Promise<void> => {
    const server = stage.run(one.command, one.environment);
    const port = (): string => /listening (\d+)/.exec(server.output())?.[1] ?? "";
    await until(`the server ${one.command.join(" ")}`, () => port() !== "");
    const callee = await startSidecar(stage, [
      ...[...manager, "--service", `${one.service}.default`],
      ...(one.protocol === undefined ? [] : ["--protocol", one.protocol]),
      ...["--app-port", port(), "--service-port", "8000"],
    ]);
    callees.set(one.service, callee);
  };
  const client = startSidecar(stage, [...manager, "--service", "client.default"]);
  await Promise.all(served.map(start));
  const caller = await client;
  await untilKnown(caller, ...served.map(({ service }) => service));
  return { manager: managerUrl(ports), caller, callees };
}

/** Waits until a sidecar knows a healthy instance of each service, by its short name. */
export async function untilKnown(caller: Sidecar, ...services: readonly string[]): Promise<void> {
  await until(`healthy instances of ${services.join(", ")}`, async () => {
    const clusters = await (await fetch(`http://127.0.0.1:${caller.admin}/clusters`)).text();
    return services.every((service) =>
      new RegExp(`\\|${service}\\.default\\..*::health_flags::healthy`).test(clusters),
    );
  });
}

/** Exchanges that a sidecar has counted, on either side. */
export async function requestsTotal({ admin }: Sidecar): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats/prometheus`)).text();
  const counts = text.matchAll(/^istio_requests_total\{[^}]*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** One request through a sidecar's outbound port. */
export async function get(
  outbound: number,
  host: string,
  path = "/",
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly body: string; readonly headers: Headers }> {
  const response = await fetch(`http://127.0.0.1:${outbound}${path}`, {
    headers: { host, ...headers },
    redirect: "manual",
  });
  return { status: response.status, body: await response.text(), headers: response.headers };
}

async function answers(port: number): Promise<boolean> {
  return (await status(port, "/")) !== 0;
}

export interface Pair {
  readonly callee: readonly [Sidecar, Sidecar];
  readonly caller: Sidecar;
  /** Ends the first instance's application. */
  crash(): void;
}

/** Two instances of a service, "a" and "b", and a caller's sidecar that has seen both. */
export async function startPair(
  stage: Stage,
  service: string,
  flags: readonly string[] = [],
): Promise<Pair> {
  const ports = managerPorts();
  await startManager(stage, ports);
  const manager = ["--manager", managerUrl(ports), ...flags];
  const instance = (appPort: number): Promise<Sidecar> =>
    startSidecar(stage, [
      ...[...manager, "--service", `${service}.default`],
      ...["--app-port", String(appPort), "--service-port", "8000"],
    ]);
  const first = stage.crashable("a");
  const callee = [await instance(first.port), await instance(stage.application("b"))] as const;
  const caller = await startSidecar(stage, [...manager, "--service", "client.default"]);
  await until("answers of both instances", async () => {
    const bodies = new Set<string>();
    for (let i = 0; i < 8; i++) bodies.add((await get(caller.outbound, `${service}:8000`)).body);
    return bodies.has("a") && bodies.has("b");
  });
  return { callee, caller, crash: () => first.crash() };
}
