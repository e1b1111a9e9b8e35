/**
 * mesh: one binary. This file picks the mode, and is the only place that composes modes.
 *
 *   mesh proxy      carries the traffic of one service, beside it
 *   mesh manager    knows services and rules, and tells every proxy what to do
 *   mesh mixer      the shared half of policy and telemetry
 *   mesh ctl        the operator's hand; `mesh ctl demo` shows all of it
 *
 * Each mode is imported when it is picked, so that none pays for another.
 */
import { MESH_VERSION } from "./core/version.ts";

const HELP = `mesh ${MESH_VERSION}: a service mesh in one executable

usage: mesh <mode> [flags]

  proxy      carries the traffic of one service, beside it
  manager    keeps services and rules, and configures every proxy
  mixer      answers what proxies cannot alone: shared limits, backends, mesh-wide metrics
  ctl        apply and inspect rules, look at services and proxies
  version    prints the version

try:
  mesh ctl demo                     a whole mesh on this machine, with an application in it
  mesh manager                      a control plane on 127.0.0.1:15010
  mesh proxy --service web.default --app-port 8000 -- node web.js
  mesh ctl apply -f rules/          change where traffic goes
`;

async function main(argv: readonly string[]): Promise<number> {
  const [mode, ...rest] = argv;
  switch (mode) {
    case "proxy":
      return await proxy(rest);
    case "manager":
      return await (await import("./manager/run.ts")).runManager(rest);
    case "mixer":
      return await mixer(rest);
    case "ctl":
      return await (await import("./ctl/run.ts")).runCtl(rest);
    case "version":
    case "--version":
      process.stdout.write(`mesh ${MESH_VERSION}\n`);
      return 0;
    case undefined:
    case "help":
    case "--help":
    case "-h":
      process.stdout.write(HELP);
      return 0;
    default:
      process.stderr.write(`mesh: no mode is called "${mode}"\n\n${HELP}`);
      return 2;
  }
}

/**
 * A mixer whose policy is in files has a manager in its own process as well; one that goes to a
 * manager on another machine proves who it is as proxies do.
 */
async function mixer(argv: readonly string[]): Promise<number> {
  const { runMixer } = await import("./mixer/run.ts");
  return await runMixer(argv, {
    embedManager: async (options) =>
      (await import("./manager/embedded.ts")).embeddedManager(options),
    joinMesh: async (options) => (await import("./proxy/identity/join-mesh.ts")).joinMesh(options),
  });
}

/** A standalone proxy has a manager in its own process, over an in-memory transport. */
async function proxy(argv: readonly string[]): Promise<number> {
  const { runProxy } = await import("./proxy/run.ts");
  return await runProxy(argv, {
    embedManager: async (options) =>
      (await import("./manager/embedded.ts")).embeddedManager(options),
  });
}

function end(code: number): void {
  // A daemon that has ended has closed everything; sockets that still part from their peers would
  // hold the process for seconds. Other modes may have output under way.
  if (["proxy", "manager", "mixer"].includes(process.argv[2] ?? "")) process.exit(code);
  process.exitCode = code;
}

// Not awaited: while a module waits at its top, Bun reports a failed assertion and goes on.
void main(process.argv.slice(2)).then(end);
