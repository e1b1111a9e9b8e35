/** `mesh ctl demo` as a script has it: no traffic of its own, one line of JSON when ready. */
import { meshBinary } from "./process.ts";

export interface DemoReady {
  readonly page: string;
  readonly manager: string;
  readonly dashboard: string;
  readonly rules: string;
  /** The list of guests who are denied. */
  readonly denied: string;
  /** Of the sidecar of details: outbound. */
  readonly details: number;
  readonly pids: Readonly<Record<string, number>>;
}

export interface RunningDemo {
  readonly child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly ready: DemoReady;
}

/** Ends with SIGINT; whoever starts it sees to that, by `onStart` even where it never is ready. */
export async function startDemo(
  onStart: (child: RunningDemo["child"]) => void,
): Promise<RunningDemo> {
  const child = Bun.spawn([meshBinary, "ctl", "demo", "--json", "--no-traffic"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  onStart(child);
  let line = "";
  for await (const chunk of child.stdout) {
    line += new TextDecoder().decode(chunk);
    if (line.includes("\n")) break;
  }
  return { child, ready: JSON.parse(line) };
}
