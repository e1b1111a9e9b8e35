/**
 * The application that this proxy runs: started once the proxy is ready, told of every signal, and
 * whose exit code becomes the proxy's.
 *
 *   idle ──start()──▶ running ──exits──▶ exited(code)
 *                        └──stop()──▶ stopping: the signal, grace, SIGKILL ──▶ exited(code)
 *
 * It shares our process group and terminal, so Ctrl-C reaches it without us. Where the proxy itself
 * is killed with SIGKILL the kernel ends it (wrapper: io/process-image.ts), on Linux only; what the
 * application itself has started is the application's to end.
 */
import { constants } from "node:os";
import type { Clock } from "../../core/clock.ts";
import type { HostPort } from "../flags.ts";

export interface ApplicationOptions {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What runs the command in our place, so that it dies with us; may be empty. */
  readonly wrapper: readonly string[];
  readonly clock: Clock;
}

type State =
  | { readonly at: "idle" }
  | { readonly at: "running"; readonly child: Bun.Subprocess }
  | { readonly at: "exited"; readonly code: number };

/** By convention of shells: not found, not executable. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

export class Application {
  readonly #options: ApplicationOptions;
  readonly #exited = Promise.withResolvers<number>();
  #state: State = { at: "idle" };

  constructor(options: ApplicationOptions) {
    this.#options = options;
  }

  /** Resolves with the exit code, 128 + n where signal n ended it. */
  get exited(): Promise<number> {
    return this.#exited.promise;
  }

  get running(): boolean {
    return this.#state.at === "running";
  }

  get pid(): number | undefined {
    return this.#state.at === "running" ? this.#state.child.pid : undefined;
  }

  /** Undefined, or why the command cannot be run; `exited` then resolves as in a shell. */
  start(): string | undefined {
    const { command, environment, wrapper } = this.#options;
    const file = command[0]!;
    const found = Bun.which(file, { PATH: environment.PATH ?? "" });
    if (found === null) {
      const exists = file.includes("/") && Bun.file(file).size > 0;
      this.#end(exists ? NOT_EXECUTABLE : NOT_FOUND);
      return `${file}: ${exists ? "cannot be run" : "no such command"}`;
    }
    const child = Bun.spawn([...wrapper, ...command], {
      env: { ...environment },
      stdio: ["inherit", "inherit", "inherit"],
      onExit: (_child, code, signal) => {
        this.#end(signal === null ? (code ?? 0) : 128 + signalNumber(signal));
      },
    });
    this.#state = { at: "running", child };
    return undefined;
  }

  /** Passes a signal on; without effect once it has ended. */
  signal(name: NodeJS.Signals): void {
    if (this.#state.at === "running") this.#state.child.kill(name);
  }

  /** Ends it: `signal` (none: it has it already), then SIGKILL after the grace. */
  async stop(signal: NodeJS.Signals | undefined, graceMs: number): Promise<number> {
    if (this.#state.at === "idle") this.#end(0);
    if (signal !== undefined) this.signal(signal);
    const cancel = this.#options.clock.after(graceMs, () => this.signal("SIGKILL"));
    const code = await this.exited;
    cancel();
    return code;
  }

  #end(code: number): void {
    this.#state = { at: "exited", code };
    this.#exited.resolve(code);
  }
}

/**
 * What an application needs to call through this proxy without knowing of it. Go's gRPC knows
 * HTTPS_PROXY alone, whatever it calls, and tunnels by CONNECT, as HTTPS to the outside does. One
 * that is set already is somebody's way out, and stays; other gRPC has a name of its own.
 */
export function applicationEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  outbound: HostPort,
): Record<string, string | undefined> {
  const address = `${outbound.hostname}:${outbound.port}`;
  // Calls to itself, or to the machine's cloud, are nobody's else; names of services must go
  // through the proxy.
  const direct = "localhost,127.0.0.1,::1,169.254.169.254";
  // It is this proxy's own proof, and no business of the application.
  const { MESH_JOIN_TOKEN: _, ...rest } = own;
  const secure = own.HTTPS_PROXY || own.https_proxy || `http://${address}`;
  return {
    ...rest,
    HTTP_PROXY: `http://${address}`,
    http_proxy: `http://${address}`,
    HTTPS_PROXY: secure,
    https_proxy: secure,
    grpc_proxy: `http://${address}`,
    NO_PROXY: direct,
    no_proxy: direct,
    MESH_OUTBOUND: address,
  };
}

function signalNumber(signal: NodeJS.Signals | number): number {
  return typeof signal === "number" ? signal : constants.signals[signal];
}
