/**
 * The process's own log: one line an event on stderr, "time level subject message key=value". The
 * access log of proxied traffic is another thing (telemetry/). Control characters are escaped, so
 * that nothing from the network can forge a line; what looks like a secret is taken out.
 */
import { redactText } from "./redact.ts";

export type Level = "debug" | "info" | "warn" | "error";

export type LogFields = Readonly<Record<string, string | number | boolean>>;

const ORDER: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export class Log {
  readonly #subject: string;
  readonly #settings: { level: Level };
  readonly #write: (line: string) => void;

  constructor(
    subject: string,
    settings: { level: Level } = { level: "info" },
    write: (line: string) => void = (line) => void process.stderr.write(line),
  ) {
    this.#subject = subject;
    this.#settings = settings;
    this.#write = write;
  }

  /** A log for a part of this one's subject; the level is shared. */
  child(subject: string): Log {
    return new Log(`${this.#subject}.${subject}`, this.#settings, this.#write);
  }

  get level(): Level {
    return this.#settings.level;
  }

  set level(level: Level) {
    this.#settings.level = level;
  }

  debug(message: string, fields?: LogFields): void {
    this.#line("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#line("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#line("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#line("error", message, fields);
  }

  #line(level: Level, message: string, fields: LogFields = {}): void {
    if (ORDER[level] < ORDER[this.#settings.level]) return;
    let line = `${new Date().toISOString()} ${level} ${this.#subject} ${safe(message)}`;
    for (const [key, value] of Object.entries(fields)) {
      const text = safe(String(value));
      line += ` ${key}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
    }
    this.#write(`${line}\n`);
  }
}

/** Without secrets, and on one line. */
function safe(text: string): string {
  return escapeControl(redactText(text));
}

/** Replaces control characters by \xNN. */
export function escapeControl(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
