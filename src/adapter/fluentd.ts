/**
 * fluentd: entries of logs to Fluentd or Fluent Bit by the forward protocol, version 1, message
 * mode: [tag, time, record]. Spec: mixer 6.
 *
 * Entries wait in a bounded buffer until it is large or old enough; above the bound they are lost
 * and counted. One connection, made when it is needed; what a broken one did not take is lost too.
 */
import type { TypedValue } from "../attribute/value.ts";
import type { Clock } from "../core/clock.ts";
import { message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { flag, integer } from "../dialect/schema/scalar.ts";
import { type Environment, type RemoteHandler, remoteAdapter } from "../policy/adapter.ts";
import { positiveSpan } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type ReportResult, reported } from "../policy/result.ts";
import type { AnyInstance, Instance } from "../policy/template.ts";
import { valueText } from "../policy/value-text.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { type HostPort, hostPort } from "./host-port.ts";
import { Double, EventTime, type Packed, packMessage } from "./message-pack.ts";

interface Parameters {
  readonly to: HostPort;
  /** Durations as milliseconds instead of "1.5s". */
  readonly integerDuration: boolean;
  readonly entriesMax: number;
  readonly batchBytesMax: number;
  readonly pushMs: number;
  readonly timeoutMs: number;
}

const MEBIBYTE = 1024 * 1024;

const fields = message({
  address: hostPort,
  integerDuration: flag,
  instanceBufferSize: integer({ least: 1, most: 1_000_000 }),
  maxBatchSizeBytes: integer({ least: 1, most: 256 * MEBIBYTE }),
  pushIntervalDuration: positiveSpan,
  pushTimeoutDuration: positiveSpan,
});

function read(place: Place): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  return {
    to: value.address ?? { host: "localhost", port: 24_224 },
    integerDuration: value.integerDuration ?? false,
    entriesMax: value.instanceBufferSize ?? 1_024,
    batchBytesMax: value.maxBatchSizeBytes ?? 8 * MEBIBYTE,
    pushMs: value.pushIntervalDuration ?? 60_000,
    timeoutMs: value.pushTimeoutDuration ?? 60_000,
  };
}

/** The bytes of one entry. */
export function packEntry(
  entry: Instance<"logentry">,
  options: { readonly integerDuration: boolean; readonly nowMs: number },
): Buffer {
  const { variables = {}, severity = "", timestamp } = entry;
  const record = new Map<string, Packed>();
  let tag = entry.name;
  for (const [name, value] of Object.entries(variables))
    if (name === "tag") tag = valueText(value);
    else record.set(name, packed(value, options.integerDuration));
  record.set("severity", severity);
  const { seconds, nanos } = timestamp ?? {
    seconds: Math.floor(options.nowMs / 1_000),
    nanos: Math.floor((options.nowMs % 1_000) * 1e6),
  };
  return packMessage([tag, new EventTime(seconds, nanos), record]);
}

function packed(of: TypedValue, integerDuration: boolean): Packed {
  switch (of.type) {
    case "INT64":
    case "BOOL":
      return of.value;
    case "DOUBLE":
      return new Double(of.value);
    case "DURATION":
      return integerDuration ? Math.trunc(Number(of.value) / 1e6) : valueText(of);
    case "STRING_MAP":
      return new Map(of.value.entries());
    default:
      return valueText(of);
  }
}

class Fluentd implements RemoteHandler {
  readonly #parameters: Parameters;
  readonly #clock: Clock;
  readonly #lost: Counter;
  #waiting: Buffer[] = [];
  #bytes = 0;
  #pushing: Push | undefined;
  #cancelPush: (() => void) | undefined;
  #closed = false;

  constructor(parameters: Parameters, { clock, handler, metrics }: Environment) {
    this.#parameters = parameters;
    this.#clock = clock;
    const what = "Entries that did not reach the collector.";
    this.#lost = metrics.counter("mesh_fluentd_lost_total", what, { handler });
  }

  async report(instances: readonly AnyInstance[]): Promise<ReportResult> {
    const { entriesMax, batchBytesMax, integerDuration, pushMs } = this.#parameters;
    const options = { integerDuration, nowMs: this.#clock.wallMs() };
    for (const instance of instances) {
      if (instance.template !== "logentry") continue;
      const bytes = packEntry(instance, options);
      const full = this.#waiting.length >= entriesMax || this.#bytes + bytes.length > batchBytesMax;
      if (full) this.#push();
      if (this.#waiting.length >= entriesMax || this.#bytes + bytes.length > batchBytesMax) {
        this.#lost.increment();
        continue;
      }
      this.#waiting.push(bytes);
      this.#bytes += bytes.length;
      this.#cancelPush ??= this.#clock.after(pushMs, () => this.#push());
    }
    return reported;
  }

  close(): void {
    if (this.#closed) return;
    this.#push();
    this.#closed = true;
    this.#lost.add(this.#waiting.length);
    this.#cancelPush?.();
  }

  /** One at a time; what waits meanwhile goes with the next. */
  #push(): void {
    this.#cancelPush?.();
    this.#cancelPush = undefined;
    if (this.#pushing !== undefined || this.#waiting.length === 0) return;
    const count = this.#waiting.length;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#bytes = 0;
    const { to, timeoutMs, pushMs } = this.#parameters;
    this.#pushing = new Push(to, bytes, (sent) => {
      cancel();
      this.#pushing = undefined;
      if (!sent) this.#lost.add(count);
      if (!this.#closed && this.#waiting.length > 0)
        this.#cancelPush ??= this.#clock.after(pushMs, () => this.#push());
    });
    const cancel = this.#clock.after(timeoutMs, () => this.#pushing?.abort());
  }
}

/** One batch on one connection. */
class Push {
  readonly #bytes: Buffer;
  #at = 0;
  #socket: Bun.Socket | undefined;
  #done: ((sent: boolean) => void) | undefined;

  constructor(to: HostPort, bytes: Buffer, onDone: (sent: boolean) => void) {
    this.#bytes = bytes;
    this.#done = onDone;
    const open = Bun.connect({
      hostname: to.host,
      port: to.port,
      socket: {
        open: (socket) => {
          this.#socket = socket;
          if (this.#done === undefined) socket.terminate();
          else this.#write(socket);
        },
        drain: (socket) => this.#write(socket),
        data() {},
        close: () => this.#finish(false),
        error: () => this.#finish(false),
        connectError: () => this.#finish(false),
      },
    });
    open.catch(() => this.#finish(false));
  }

  abort(): void {
    this.#finish(false);
    this.#socket?.terminate();
  }

  #write(socket: Bun.Socket): void {
    if (this.#done === undefined) return;
    const taken = socket.write(this.#bytes, this.#at, this.#bytes.length - this.#at);
    if (taken > 0) this.#at += taken;
    if (this.#at < this.#bytes.length) return;
    this.#finish(true);
    socket.end();
  }

  #finish(sent: boolean): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(sent);
  }
}

export const fluentd = remoteAdapter<Parameters>({
  name: "fluentd",
  templates: ["logentry"],
  read,
  open: (parameters, environment) => new Fluentd(parameters, environment),
});
