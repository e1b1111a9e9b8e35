/**
 * Tells a mixer what came to the series that rules define, so that its scrape is the sum over all
 * proxies. Beside the traffic, on a connection of its own, in portions.
 *
 *   Exposition ─ what changed ─▶ MetricPush n ─▶ waits ─▶ Push ─ answered ─▶ forgotten
 *                                                └─◀─ nobody answered: the same once more ─┘
 *
 * What is told is remembered by series and told once: the mixer knows a push that comes again by
 * its sequence number, and another mixer, which cannot, by whom it was told to. For that the first
 * push of all has no series: its answer says who the mixer is. A mixer that is away is tried less
 * and less often; series count on.
 */
import { create, fromBinary } from "@bufbuild/protobuf";
import { CallStatus } from "../../api/call-fault.ts";
import {
  PushedFamily_Type as FamilyType,
  type MetricPushed,
  MetricPushedSchema,
  type MetricPush as MetricPushMessage,
  MetricPushSchema,
  MetricService,
  type PushedFamily,
  PushedFamilySchema,
  type PushedSeries,
  PushedSeriesSchema,
} from "../../api/gen/mesh/v1/metric_pb.ts";
import { GrpcClient } from "../../api/grpc-client.ts";
import { framed } from "../../api/grpc-text.ts";
import type { CallAnswer } from "../../api/outgoing-call.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import type { Exposition, MeasuredFamily, MeasuredSeries } from "../../policy/exposition.ts";
import type { Counter, Metrics } from "../../telemetry/metrics.ts";

export interface MetricPusherOptions {
  readonly hostname: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly exposition: Exposition;
  /** As the mesh knows this proxy; asked when there is something to tell. */
  readonly node: () => string;
}

const INTERVAL_MS = 10_000;
/** Between tries, where nobody answers. */
const AWAY_MAX_MS = 300_000;
/** Of one push: no turn takes long. */
const SERIES_MAX = 500;
/** UTF-16 units of one push, unless it is one series. */
const TEXT_MAX = 128 << 10;
/** Pushes of what was withdrawn; beyond, it is dropped. */
const WAITING_MAX = 64;
const CONNECT_MS = 500;
const ANSWER_BYTES_MAX = 1 << 10;
const CLOSING_MS = 1_000;
const COUNT_MAX = 0xffff_ffff;

const types = {
  counter: FamilyType.COUNTER,
  gauge: FamilyType.GAUGE,
  histogram: FamilyType.HISTOGRAM,
} as const;

/** What the mixer was told of a series, or will be. */
interface Told {
  value: number;
  readonly counts: number[];
  usedMs: number;
}

interface Waiting {
  readonly message: MetricPushMessage;
  readonly series: number;
}

interface Change {
  readonly family: MeasuredFamily;
  readonly series: PushedSeries;
}

export class MetricPusher {
  readonly #options: MetricPusherOptions;
  readonly #client: GrpcClient;
  readonly #epoch = crypto.randomUUID();
  readonly #told = new WeakMap<MeasuredSeries, Told>();
  readonly #waiting: Waiting[] = [];
  readonly #pushed: Counter;
  readonly #dropped: Counter;
  /** What is left of a look at all series. */
  #round: Iterator<Change> | undefined;
  #sequence = 0;
  /** Who answered last; "": nobody yet. */
  #mixerId = "";
  #failures = 0;
  #isUnderWay = false;
  #cancel: () => void = () => {};

  constructor(options: MetricPusherOptions) {
    this.#options = options;
    const { hostname, port, clock, random, log, metrics, timeoutMs, exposition } = options;
    this.#client = new GrpcClient({
      ...{ hostname, port, clock, random, callsMax: 2 * WAITING_MAX },
      ...{ connectMs: Math.min(CONNECT_MS, timeoutMs), answerBytesMax: ANSWER_BYTES_MAX },
      onState: (state, reason) => log.debug("metrics for the mixer", { state, reason }),
    });
    this.#pushed = metrics.counter(
      "mesh_mixer_series_pushed_total",
      "Changes of rules' series that the mixer was told.",
    );
    this.#dropped = metrics.counter(
      "mesh_mixer_series_dropped_total",
      "Changes of rules' series that the mixer refused, or that were too many to wait for it.",
    );
    exposition.onWithdrawn = (families) => this.#keep(this.#changes(families), WAITING_MAX);
    this.#schedule();
  }

  /** What is there is told now, unless something is under way. */
  push(): void {
    this.#cancel();
    if (this.#isUnderWay) return;
    if (this.#waiting.length === 0) {
      this.#round ??= this.#changes(this.#options.exposition.measured());
      this.#keep(this.#round, 1);
    }
    const next = this.#waiting[0];
    if (next === undefined) return this.#schedule();
    this.#isUnderWay = true;
    this.#call(next, (answer) => this.#answered(next, answer));
  }

  /** All that was not told is sent; it waits for answers, a second at most. */
  close(): Promise<void> {
    this.#cancel();
    const { exposition, clock } = this.#options;
    exposition.onWithdrawn = undefined;
    this.#keep(this.#changes(exposition.measured()), WAITING_MAX);
    // What is under way is among them: it is counted once.
    const rest = this.#waiting.splice(0);
    let left = rest.length;
    this.#isUnderWay = true;
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#client.close();
        resolve();
      };
      const cancel = clock.after(CLOSING_MS, end);
      for (const one of rest)
        this.#call(one, () => {
          if (--left === 0) end();
        });
      if (left === 0) end();
    });
  }

  #schedule(): void {
    const { clock, random } = this.#options;
    const ms = Math.min(INTERVAL_MS * 2 ** Math.max(0, this.#failures - 1), AWAY_MAX_MS);
    this.#cancel = clock.after(ms * (0.9 + 0.2 * random()), () => this.push());
  }

  #call(told: Waiting, onAnswer: (answer: CallAnswer) => void): void {
    const { timeoutMs } = this.#options;
    const bytes = framed(MetricPushSchema, told.message);
    this.#client.call(MetricService.method.push, bytes, { timeoutMs, headers: "", onAnswer });
  }

  #answered(told: Waiting, answer: CallAnswer): void {
    // Closed: all of it was sent again.
    if (this.#waiting[0] !== told) return;
    this.#isUnderWay = false;
    if (!answer.ok && (answer.isLost || answer.code === CallStatus.unavailable)) {
      // One that may have counted it stays the only one that does.
      if (answer.isLost && answer.isSent) told.message.toldTo ||= this.#mixerId;
      this.#failures++;
      return this.#schedule();
    }
    this.#failures = 0;
    this.#waiting.shift();
    const pushed = answer.ok ? readPushed(answer.message) : undefined;
    if (pushed !== undefined) this.#mixerId = pushed.mixerId;
    const dropped = pushed === undefined ? told.series : Math.min(pushed.dropped, told.series);
    this.#dropped.add(dropped);
    this.#pushed.add(told.series - dropped);
    if (this.#waiting.length > 0 || this.#round !== undefined) this.push();
    else this.#schedule();
  }

  /** Makes pushes of changes while there are fewer than `most`. */
  #keep(changes: Iterator<Change>, most: number): void {
    for (;;) {
      if (this.#waiting.length >= most && most > 1) {
        for (let one = changes.next(); !one.done; one = changes.next()) this.#dropped.increment();
        return;
      }
      const { families, series, isLast } = this.#take(changes);
      if (series > 0 && this.#sequence === 0) this.#wait([], 0);
      if (series > 0) this.#wait(families, series);
      if (isLast && changes === this.#round) this.#round = undefined;
      if (isLast || most === 1) return;
    }
  }

  #wait(families: PushedFamily[], series: number): void {
    const of = { node: this.#options.node(), epoch: this.#epoch, sequence: ++this.#sequence };
    this.#waiting.push({ message: create(MetricPushSchema, { ...of, families }), series });
  }

  /** As many as one push has. */
  #take(changes: Iterator<Change>) {
    const byFamily = new Map<MeasuredFamily, PushedFamily>();
    let [series, text, isLast] = [0, 0, false];
    while (series < SERIES_MAX && text < TEXT_MAX && !isLast) {
      const { done, value: change } = changes.next();
      isLast = done === true;
      if (done === true) break;
      let family = byFamily.get(change.family);
      family ??= messageOf(change.family);
      byFamily.set(change.family, family);
      family.series.push(change.series);
      for (const value of change.series.values) text += value.length;
      series++;
    }
    return { families: [...byFamily.values()], series, isLast };
  }

  *#changes(families: readonly MeasuredFamily[]): Generator<Change> {
    for (const family of families)
      for (const one of family.samples) {
        const series = this.#changeOf(one, family.type === "gauge");
        if (series !== undefined) yield { family, series };
      }
  }

  #changeOf(one: MeasuredSeries, isGauge: boolean): PushedSeries | undefined {
    const { values = [], value, counts, usedMs } = one;
    let told = this.#told.get(one);
    if (told?.usedMs === usedMs && told.value === value && isEqual(told.counts, counts)) return;
    if (told === undefined) {
      told = { value: 0, counts: counts.map(() => 0), usedMs };
      this.#told.set(one, told);
    }
    const added = counts.map((count, i) => Math.min(count - told.counts[i]!, COUNT_MAX));
    const message = create(PushedSeriesSchema, {
      ...{ values: [...values], overflow: one.values === undefined, counts: added },
      value: isGauge ? value : value - told.value,
    });
    told.value = value;
    told.usedMs = usedMs;
    for (const [i, count] of added.entries()) told.counts[i]! += count;
    return message;
  }
}

/** Undefined: it is no answer of a mixer. */
function readPushed(bytes: Uint8Array): MetricPushed | undefined {
  try {
    return fromBinary(MetricPushedSchema, bytes);
  } catch {
    return undefined;
  }
}

function isEqual(some: readonly number[], others: readonly number[]): boolean {
  return some.every((one, i) => one === others[i]);
}

function messageOf({ name, type, help, labelNames, bounds }: MeasuredFamily): PushedFamily {
  return create(PushedFamilySchema, {
    ...{ name, help, type: types[type], labelNames: [...labelNames] },
    bounds: type === "histogram" ? [...bounds] : [],
  });
}
