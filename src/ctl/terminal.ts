/**
 * What a command may touch of the process it runs in: two writers, stdin, the environment. Tests
 * pass their own. Colour appears only where stdout is a terminal and NO_COLOR is not set.
 */
import { type Clock, systemClock } from "../core/clock.ts";

export interface CtlIo {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly readStdin: () => Promise<string>;
  readonly stdinIsTty: boolean;
  /** Of stdout. */
  readonly isTty: boolean;
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

/** The real process. */
export function processIo(): CtlIo {
  // A reader that has seen enough (`| head`) is no mistake of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  return {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    readStdin: () => Bun.stdin.text(),
    stdinIsTty: process.stdin.isTTY === true,
    isTty: process.stdout.isTTY === true,
    columns: process.stdout.columns || 100,
    env: process.env,
    clock: systemClock,
  };
}

/** Marks text for a terminal; leaves it alone for anything else. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
}

export function paintFor(io: CtlIo): Paint {
  const noColor = io.env.NO_COLOR ?? "";
  const colourful = io.isTty && noColor === "" && io.env.TERM !== "dumb";
  const code = (open: number, close: number) => (text: string) =>
    colourful && text !== "" ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    bold: code(1, 22),
    dim: code(2, 22),
    red: code(31, 39),
    green: code(32, 39),
    yellow: code(33, 39),
    cyan: code(36, 39),
  };
}

/**
 * Text from elsewhere as a terminal may have it: colour, tabs and line ends stay, other control
 * characters are shown, so that no name or message can move the cursor or forge a line's end.
 */
export function harmless(text: string): string {
  return text.replace(/\u001b\[\d{1,2}m|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (found) =>
    found.length > 1 ? found : `\\x${found.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
