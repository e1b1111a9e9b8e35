/**
 * `mesh proxy`: command line in, one running sidecar until it is told to stop, exit code out.
 *
 *   0 stopped as asked · 1 it could not start · 2 the command line is wrong
 *   with -- COMMAND: the exit code of the application
 */
import { existsSync } from "node:fs";
import type { Transport } from "@connectrpc/connect";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { formatProblem } from "../core/problem.ts";
import { systemRandom } from "../core/random.ts";
import { SharedLevel } from "../core/shared-level.ts";
import { MESH_VERSION } from "../core/version.ts";
import { ClosableClock } from "./agent/closable-clock.ts";
import type { ManagerAccess, ManagerConnection } from "./agent/manager-link.ts";
import { withTokenLabels } from "./agent/token-labels.ts";
import { proxyUsage } from "./flag-table.ts";
import { type ProxyFlags, parseProxyFlags } from "./flags.ts";
import { joinTokenOf } from "./identity/kept-identity.ts";
import { Sidecar } from "./sidecar.ts";
import { StartFault } from "./start-fault.ts";

/** A manager inside this process, for `--standalone`. */
export interface EmbeddedManager {
  readonly transport: Transport;
  close(): Promise<void>;
}

export interface ProxyDependencies {
  /** How to reach the manager; absent: Connect to `--manager`. */
  readonly transport?: Transport;
  /** Opens a manager over these files, for `--standalone -f`. Throws where they are unusable. */
  readonly embedManager?: (options: {
    readonly files: readonly string[];
    readonly namespace: string;
    readonly domain: string;
  }) => Promise<EmbeddedManager>;
}

/** In place of flags: become the application, as a child that dies with its proxy. */
const BECOME = "become-application";

/** Runs `mesh proxy` until it is stopped; returns the exit code. */
export async function runProxy(
  argv: readonly string[],
  dependencies: ProxyDependencies = {},
): Promise<number> {
  if (argv[0] === BECOME) return await becomeApplication(argv.slice(1));
  const parsed = parseProxyFlags(argv, process.env);
  switch (parsed.at) {
    case "help":
      process.stdout.write(proxyUsage());
      return 0;
    case "problems":
      for (const problem of parsed.problems) say(formatProblem(problem));
      say("mesh proxy --help shows every flag");
      return 2;
    case "flags":
      return await runSidecar(withTokenLabels(parsed.flags), dependencies);
    default:
      return parsed satisfies never;
  }
}

async function runSidecar(flags: ProxyFlags, dependencies: ProxyDependencies): Promise<number> {
  const clock = new ClosableClock(systemClock);
  const level = new SharedLevel(flags.logLevel);
  try {
    const sidecar = new Sidecar({
      flags,
      version: MESH_VERSION,
      environment: process.env,
      wrapper: applicationWrapper(),
      connect: connector(flags, dependencies),
      clock,
      random: systemRandom,
      log: new Log("proxy", level),
      level,
    });
    const release = followSignals(sidecar);
    try {
      return await sidecar.run();
    } finally {
      release();
    }
  } catch (thrown) {
    if (!(thrown instanceof StartFault)) throw thrown;
    say(`mesh proxy: ${thrown.message}`);
    return 1;
  } finally {
    clock.close();
  }
}

/** Undefined: there is no manager. */
function connector(
  flags: ProxyFlags,
  { transport, embedManager }: ProxyDependencies,
): ((access: ManagerAccess) => Promise<ManagerConnection>) | undefined {
  if (flags.standalone && embedManager !== undefined) {
    return async () => {
      try {
        return await embedManager(flags);
      } catch (thrown) {
        throw new StartFault(thrown instanceof Error ? thrown.message : String(thrown));
      }
    };
  }
  if (transport !== undefined) return async () => ({ transport, close: () => {} });
  const { manager } = flags;
  if (manager === undefined) return undefined;
  return async (access) => {
    const { managerTransport } = await import("../api/discovery/manager-transport.ts");
    const { rootPinOf } = await import("../api/discovery/root-pin.ts");
    const { noticingUnknown } = await import("./identity/unknown-caller.ts");
    checkToken(flags);
    const rootPin = (): string => rootPinOf(joinTokenOf(flags.credential));
    const interceptors = [noticingUnknown(() => access.onUnknown())];
    const transport = managerTransport(manager, { ...access, rootPin }, { interceptors });
    return { transport, close: () => {} };
  };
}

/** Throws where there should be one, unless it is not needed any more. */
function checkToken({ credential }: ProxyFlags): void {
  try {
    joinTokenOf(credential);
  } catch (thrown) {
    if (credential.keptIn !== undefined && existsSync(credential.keptIn)) return;
    throw new StartFault(`--token: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

/** Returns what undoes it. */
function followSignals(sidecar: Sidecar): () => void {
  const handlers: [NodeJS.Signals, () => void][] = [
    ...(["SIGTERM", "SIGINT"] as const).map((signal): [NodeJS.Signals, () => void] => [
      signal,
      () => {
        // A terminal sends Ctrl-C to the whole process group, the application included.
        const applicationHasIt = signal === "SIGINT" && process.stdin.isTTY === true;
        sidecar.end({ at: "signal", signal, applicationHasIt });
      },
    ]),
    ...(["SIGHUP", "SIGUSR1", "SIGUSR2"] as const).map((signal): [NodeJS.Signals, () => void] => [
      signal,
      () => sidecar.signal(signal),
    ]),
  ];
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}

/** This executable once more, to start the application with; empty where it is not known. */
function applicationWrapper(): readonly string[] {
  if (process.platform !== "linux") return [];
  const compiled = Bun.main.startsWith("/$bunfs/");
  if (!compiled && !/\/main\.(ts|js)$/.test(Bun.main)) return [];
  const self = compiled ? [process.execPath] : [process.execPath, Bun.main];
  return [...self, "proxy", BECOME, String(process.pid)];
}

/** Returns only where the command cannot be run. */
async function becomeApplication([parent, ...command]: readonly string[]): Promise<number> {
  const { becomeChildOf } = await import("../io/process-image.ts");
  say(`mesh proxy: ${command[0]}: ${becomeChildOf(Number(parent), command)}`);
  return 127;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
