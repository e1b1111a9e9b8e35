/** stdio: entries of logs and values of metrics as lines, on the console or in files. Mixer 6. */
import { mapOf, message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { flag, integer, oneOf, text } from "../dialect/schema/scalar.ts";
import { type Environment, type LocalHandler, localAdapter } from "../policy/adapter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type ReportResult, reported } from "../policy/result.ts";
import type { AnyInstance } from "../policy/template.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { LineWriter, type Rotation } from "./line-writer.ts";
import { LineFormat, type LogEntry, type LogLevel } from "./log-line.ts";

interface Parameters {
  readonly path: string;
  readonly rotation: Rotation | undefined;
  readonly severityLevels: ReadonlyMap<string, LogLevel>;
  readonly metricLevel: LogLevel;
  readonly outputLevel: LogLevel;
  readonly outputAsJson: boolean;
}

const levels = ["INFO", "WARNING", "ERROR"] as const;
const streams = ["STDOUT", "STDERR", "FILE", "ROTATED_FILE"] as const;
const level = oneOf(...levels);
const MEBIBYTE = 1024 * 1024;
const DAY_MS = 86_400_000;

/** Severities in other letters are INFO, unless parameters name them. */
const severities: readonly (readonly [severity: string, level: LogLevel])[] = [
  ["INFORMATIONAL", "INFO"],
  ["informational", "INFO"],
  ["INFO", "INFO"],
  ["info", "INFO"],
  ["WARNING", "WARNING"],
  ["warning", "WARNING"],
  ["WARN", "WARNING"],
  ["warn", "WARNING"],
  ["ERROR", "ERROR"],
  ["error", "ERROR"],
  ["ERR", "ERROR"],
  ["err", "ERROR"],
  ["FATAL", "ERROR"],
  ["fatal", "ERROR"],
];

const fields = message({
  logStream: oneOf(...streams),
  severityLevels: mapOf(level),
  metricLevel: level,
  outputAsJson: flag,
  outputLevel: level,
  outputPath: text,
  maxMegabytesBeforeRotation: integer({ least: 1, most: 1_000_000 }),
  maxDaysBeforeRotation: integer({ least: 0, most: 100_000 }),
  maxRotatedFiles: integer({ least: 0 }),
});

function read(place: Place): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  const { logStream = "STDOUT", outputPath = "" } = value;
  const toFile = logStream === "FILE" || logStream === "ROTATED_FILE";
  if (toFile && outputPath === "") value.at("outputPath").error(`must be given for ${logStream}`);
  if (!toFile && outputPath !== "")
    value.at("outputPath").error(`has no place where logs go to ${logStream}`);
  const standard = logStream === "STDERR" ? "/dev/stderr" : "/dev/stdout";
  const written = (value.severityLevels ?? []).map(({ key, value: as }) => [key, as] as const);
  return {
    path: toFile ? outputPath : standard,
    rotation:
      logStream === "ROTATED_FILE"
        ? {
            bytesMax: (value.maxMegabytesBeforeRotation ?? 100) * MEBIBYTE,
            ageMaxMs: (value.maxDaysBeforeRotation ?? 30) * DAY_MS,
            filesMax: value.maxRotatedFiles ?? 1_000,
          }
        : undefined,
    severityLevels: new Map([...severities, ...written]),
    metricLevel: value.metricLevel ?? "INFO",
    outputLevel: value.outputLevel ?? "INFO",
    outputAsJson: value.outputAsJson ?? true,
  };
}

class Stdio implements LocalHandler {
  readonly #parameters: Parameters;
  readonly #environment: Environment;
  readonly #dropped: Counter;
  readonly #writer: LineWriter | undefined;
  readonly #format = new LineFormat();
  readonly #complaint: string = "";

  constructor(parameters: Parameters, environment: Environment) {
    this.#parameters = parameters;
    this.#environment = environment;
    const { clock, handler, metrics } = environment;
    const what = "Lines that were lost: the stream was too slow, or refused them.";
    this.#dropped = metrics.counter("mesh_stdio_dropped_total", what, { handler });
    const { path, rotation } = parameters;
    const onDropped = (lines: number) => this.#dropped.add(lines);
    try {
      this.#writer = new LineWriter({ path, clock, onDropped, ...(rotation && { rotation }) });
    } catch (cause) {
      this.#complaint = cause instanceof Error ? cause.message : String(cause);
      environment.log.error("cannot open", { handler, path, why: this.#complaint });
    }
  }

  report(instances: readonly AnyInstance[]): ReportResult {
    const { outputAsJson, outputLevel } = this.#parameters;
    const least = levels.indexOf(outputLevel);
    const format = this.#format;
    for (const instance of instances) {
      const entry = this.#entryOf(instance);
      if (entry === undefined || levels.indexOf(entry.level) < least) continue;
      const writer = this.#writer;
      if (writer === undefined) {
        this.#dropped.increment();
        continue;
      }
      const lines = writer.begin();
      const at = outputAsJson
        ? format.json(entry, lines)
        : lines.putText(lines.length, format.text(entry));
      writer.end(at);
    }
    return this.#writer === undefined ? [this.#complaint] : reported;
  }

  close(): void {
    this.#writer?.close();
  }

  #entryOf(instance: AnyInstance): LogEntry | undefined {
    const { severityLevels, metricLevel } = this.#parameters;
    if (instance.template === "logentry") {
      const { name, timestamp: time, severity = "", variables = {} } = instance;
      const as = severityLevels.get(severity) ?? "INFO";
      return { level: as, time, instance: name, fields: variables };
    }
    if (instance.template !== "metric") return undefined;
    const { name, value, dimensions = {} } = instance;
    const nowMs = this.#environment.clock.wallMs();
    const seconds = Math.floor(nowMs / 1_000);
    const time = { seconds, nanos: Math.floor((nowMs - seconds * 1_000) * 1e6) };
    const entry = { level: metricLevel, time, instance: name, fields: dimensions };
    return value === undefined ? entry : { ...entry, value };
  }
}

export const stdio = localAdapter<Parameters>({
  name: "stdio",
  templates: ["logentry", "metric"],
  read,
  open: (parameters, environment) => new Stdio(parameters, environment),
});
