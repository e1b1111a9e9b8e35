/**
 * Which access log is written: what the command line says, else what the mesh's settings say, which
 * may change while the proxy runs. Exchanges that have begun may still write to the former one.
 */
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { AppendFile } from "../../io/append-file.ts";
import type { AccessLog, LineSink } from "../../telemetry/access-log.ts";
import type { ProxyFlags } from "../flags.ts";
import { StartFault } from "../start-fault.ts";
import { type Tap, TappedAccessLog } from "./tapped-access-log.ts";

export interface AccessLogSwitchParts {
  readonly flags: ProxyFlags;
  readonly clock: Clock;
  readonly log: Log;
  /** Around the file, where several threads write it. */
  readonly sink?: ((file: LineSink) => LineSink) | undefined;
  /** Undefined: none. */
  readonly use: (accessLog: AccessLog | undefined) => void;
}

export interface AccessLogSettings {
  /** Empty: none. */
  readonly accessLogFile: string;
  readonly accessLogJson: boolean;
}

interface Open {
  readonly key: string;
  readonly accessLog: AccessLog;
  readonly file: AppendFile;
}

export class AccessLogSwitch {
  readonly #parts: AccessLogSwitchParts;
  readonly #taps = new Set<Tap>();
  #open: Open | undefined;
  /** Former ones whose last lines are being written. */
  readonly #closing = new Set<Promise<void>>();

  /** Throws StartFault where the file of the command line cannot be written. */
  constructor(parts: AccessLogSwitchParts) {
    this.#parts = parts;
    const path = parts.flags.accessLog;
    if (path === undefined) return;
    try {
      this.#follow({ accessLogFile: "", accessLogJson: false });
    } catch (thrown) {
      throw new StartFault(`${path} cannot be written (${reasonOf(thrown)}): see --access-log`);
    }
  }

  follow(settings: AccessLogSettings): void {
    try {
      this.#follow(settings);
    } catch (thrown) {
      const fields = { file: settings.accessLogFile, reason: reasonOf(thrown) };
      this.#parts.log.warn("no access log", fields);
    }
  }

  /** After a rotation by rename. */
  reopen(): void {
    try {
      this.#open?.file.reopen();
    } catch (thrown) {
      this.#parts.log.warn("access log not reopened", { reason: reasonOf(thrown) });
    }
  }

  /** Returns what ends it. */
  tap(tap: Tap): () => void {
    this.#taps.add(tap);
    if (this.#open === undefined) this.#useNone();
    return () => {
      this.#taps.delete(tap);
      if (this.#open === undefined) this.#useNone();
    };
  }

  get taps(): number {
    return this.#taps.size;
  }

  /** Returns once every line is in its file, those of former files too. */
  async close(): Promise<void> {
    this.#retire();
    await Promise.all(this.#closing);
  }

  #retire(): void {
    const former = this.#open;
    this.#open = undefined;
    this.#useNone();
    if (former === undefined) return;
    const closing = closed(former).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** No file: nothing is recorded unless somebody listens. */
  #useNone(): void {
    const { clock, use } = this.#parts;
    const options = { format: "json", sink: undefined, clock, taps: this.#taps } as const;
    use(this.#taps.size === 0 ? undefined : new TappedAccessLog(options));
  }

  #follow(settings: AccessLogSettings): void {
    const { flags, clock, use, sink = itself } = this.#parts;
    const path = flags.accessLog ?? settings.accessLogFile;
    const { accessLogEncoding = settings.accessLogJson ? "JSON" : "TEXT" } = flags;
    const key = `${accessLogEncoding} ${path}`;
    if (key === this.#open?.key) return;
    if (path === "" || path === "none") return this.#retire();
    const file = new AppendFile(path);
    const format = accessLogEncoding === "JSON" ? "json" : "text";
    const accessLog = new TappedAccessLog({ format, sink: sink(file), clock, taps: this.#taps });
    this.#retire();
    this.#open = { key, accessLog, file };
    use(accessLog);
  }
}

async function closed(former: Open): Promise<void> {
  await former.accessLog.close();
  former.file.close();
}

function itself(file: LineSink): LineSink {
  return file;
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
