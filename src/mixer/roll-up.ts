/**
 * What proxies counted for rules, added up: the mixer's scrape is the sum over the mesh.
 *
 *   MetricPush ─ not above the epoch's last ─▶ answered, not counted
 *         │      told to another mixer before ─▶ gauges alone
 *         └─ above ─▶ families ─▶ series ─▶ exposition, with what this mixer counted itself
 *
 * Counters and buckets add up; a gauge is the sum of the last value of each node. Series go when
 * nobody tells of them for a while; above the cap, what is new counts as overflow="true".
 */
import { create } from "@bufbuild/protobuf";
import {
  type MetricDefinition,
  MetricSeries,
  type Series,
  SeriesBudget,
  seriesText,
} from "../adapter/metric-series.ts";
import { CallFault, CallStatus } from "../api/call-fault.ts";
import {
  PushedFamily_Type as FamilyType,
  type MetricPush,
  type MetricPushed,
  MetricPushedSchema,
  type PushedFamily,
  type PushedSeries,
} from "../api/gen/mesh/v1/metric_pb.ts";
import type { Clock } from "../core/clock.ts";
import type {
  ExposedFamily,
  Exposition,
  MeasuredFamily,
  MeasuredSeries,
} from "../policy/exposition.ts";
import type { Counter, Metrics } from "../telemetry/metrics.ts";

export interface RollUpLimits {
  /** Of a series that nobody tells of. */
  readonly expiryMs: number;
  /** Of all families together, and as many values of gauges by node. */
  readonly seriesMax: number;
}

export interface RollUpOptions extends RollUpLimits {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** What this mixer counts itself: it is in the sum. */
  readonly exposition: Exposition;
}

export const defaultRollUp: RollUpLimits = { expiryMs: 600_000, seriesMax: 50_000 };

const NAME = /^(?!mesh_|mixer_|process_)[a-zA-Z_:][a-zA-Z0-9_:]{0,255}$/;
const LABEL = /^(?!__|le$|overflow$)[a-zA-Z_][a-zA-Z0-9_]{0,127}$/;
const FAMILIES_MAX = 2_000;
const LABELS_MAX = 64;
const BUCKETS_MAX = 512;
/** UTF-16 units. */
const HELP_MAX = 1_024;
const LABEL_TEXT_MAX = 4_096;
const ID_MAX = 512;
const PUSHERS_MAX = 20_000;
/** A push that comes again comes within it. */
const PUSHER_KEPT_MS = 3_600_000;
const SWEEP_MS = 10_000;

const kinds = {
  [FamilyType.COUNTER]: "COUNTER",
  [FamilyType.GAUGE]: "GAUGE",
  [FamilyType.HISTOGRAM]: "DISTRIBUTION",
} as const;

interface Kept {
  readonly series: MetricSeries;
  usedMs: number;
}

/** The last push of one epoch. */
interface Pusher {
  readonly sequence: number;
  readonly atMs: number;
}

interface NodeValue {
  readonly value: number;
  readonly atMs: number;
}

export class RollUp {
  /** Of this run. */
  readonly #id = crypto.randomUUID();
  readonly #options: RollUpOptions;
  readonly #budget: SeriesBudget;
  /** By all that defines them: proxies of two policies may differ for a while. */
  readonly #families = new Map<string, Kept>();
  /** The longest silent first. */
  readonly #pushers = new Map<string, Pusher>();
  readonly #gauges = new WeakMap<Series, Map<string, NodeValue>>();
  readonly #repeated: Counter;
  readonly #overflowed: Counter;
  readonly #malformed: Counter;
  readonly #tooMany: Counter;
  readonly #toldElsewhere: Counter;
  #gaugeValues = 0;
  #sweptAtMs = 0;

  constructor(options: RollUpOptions) {
    this.#options = options;
    const { metrics, exposition, seriesMax } = options;
    this.#budget = new SeriesBudget(seriesMax);
    this.#repeated = metrics.counter(
      "mixer_rollup_repeated_total",
      "Pushes that came again and were not counted again.",
    );
    this.#overflowed = metrics.counter(
      "mixer_rollup_overflow_total",
      'Changes of series counted as overflow="true", because there were too many series.',
    );
    const dropped = (reason: string): Counter =>
      metrics.counter("mixer_rollup_dropped_total", "Changes of series that were not counted.", {
        reason,
      });
    this.#malformed = dropped("malformed");
    this.#tooMany = dropped("too-many");
    this.#toldElsewhere = dropped("told-elsewhere");
    const series = metrics.gauge("mixer_rollup_series", "Series that proxies told of.");
    metrics.beforeScrape(() => {
      this.#sweep();
      series.set(seriesMax - this.#budget.left);
    });
    // Before others: of equal series the first is shown, and these have the others in their sums.
    exposition.add(() => this.#exposed());
  }

  push({ node, epoch, sequence, families, toldTo }: MetricPush): MetricPushed {
    if (node === "" || epoch === "" || node.length + epoch.length > ID_MAX || sequence === 0)
      throw new CallFault(CallStatus.invalidArgument, "a push has a node, an epoch and a number");
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#sweptAtMs >= SWEEP_MS) this.#sweep();
    if (!this.#isNew(`${node}\u0000${epoch}`, sequence, nowMs)) {
      this.#repeated.increment();
      return create(MetricPushedSchema, { mixerId: this.#id });
    }
    let dropped = 0;
    const mayBeElsewhere = toldTo !== "" && toldTo !== this.#id;
    for (const family of families) {
      if (mayBeElsewhere && family.type !== FamilyType.GAUGE) {
        this.#toldElsewhere.add(family.series.length);
        dropped += family.series.length;
        continue;
      }
      const into = this.#familyOf(family, nowMs);
      for (const series of family.series) {
        const why = into === undefined ? this.#malformed : this.#add(into, series, node);
        if (why === undefined) continue;
        why.increment();
        dropped++;
      }
    }
    return create(MetricPushedSchema, { dropped, mixerId: this.#id });
  }

  #isNew(key: string, sequence: number, atMs: number): boolean {
    const last = this.#pushers.get(key)?.sequence ?? 0;
    this.#pushers.delete(key);
    this.#pushers.set(key, { sequence: Math.max(last, sequence), atMs });
    for (const [oldest] of this.#pushers) {
      if (this.#pushers.size <= PUSHERS_MAX) break;
      this.#pushers.delete(oldest);
    }
    return sequence > last;
  }

  #familyOf(family: PushedFamily, nowMs: number): Kept | undefined {
    const definition = definitionOf(family);
    if (definition === undefined) return undefined;
    const { name, kind, labelNames, bounds } = definition;
    const key = [name, kind, labelNames.join(), bounds.join()].join(" ");
    let kept = this.#families.get(key);
    if (kept === undefined) {
      if (this.#families.size >= FAMILIES_MAX) return undefined;
      kept = { series: new MetricSeries(definition, this.#budget), usedMs: nowMs };
      this.#families.set(key, kept);
    }
    kept.usedMs = nowMs;
    return kept;
  }

  /** Returns what counts that it was not added. */
  #add({ series: into, usedMs }: Kept, pushed: PushedSeries, node: string): Counter | undefined {
    const { kind } = into.definition;
    if (!fits(into.definition, pushed)) return this.#malformed;
    if (kind === "GAUGE") return this.#set(into, pushed, { node, atMs: usedMs });
    const series = into.at(pushed.overflow ? undefined : pushed.values, usedMs);
    if (series.values === undefined && !pushed.overflow) this.#overflowed.increment();
    series.value += pushed.value;
    for (const [i, count] of pushed.counts.entries()) series.counts[i]! += count;
    return undefined;
  }

  /** What stands for too many has no value. */
  #set(
    into: MetricSeries,
    { values, value, overflow }: PushedSeries,
    { node, atMs }: { readonly node: string; readonly atMs: number },
  ): Counter | undefined {
    const full = this.#gaugeValues >= this.#options.seriesMax || this.#budget.left <= 0;
    const series = overflow || full ? into.known(values) : into.at(values, atMs);
    const nodes = (series && this.#gauges.get(series)) ?? new Map<string, NodeValue>();
    if (series === undefined || overflow || (full && !nodes.has(node))) return this.#tooMany;
    if (!nodes.has(node)) this.#gaugeValues++;
    nodes.set(node, { value, atMs });
    this.#gauges.set(series, nodes);
    series.usedMs = atMs;
    series.value = sumOf(nodes);
    return undefined;
  }

  #sweep(): void {
    const { clock, expiryMs } = this.#options;
    const nowMs = clock.nowMs();
    this.#sweptAtMs = nowMs;
    this.#gaugeValues = 0;
    for (const [key, { series, usedMs }] of this.#families) {
      series.expire(nowMs - expiryMs);
      if (usedMs <= nowMs - expiryMs) this.#families.delete(key);
      else if (series.definition.kind === "GAUGE")
        for (const one of series.samples()) this.#sweepGauge(one, nowMs - expiryMs);
    }
    for (const [key, { atMs }] of this.#pushers) {
      if (atMs > nowMs - Math.max(PUSHER_KEPT_MS, expiryMs)) break;
      this.#pushers.delete(key);
    }
  }

  #sweepGauge(series: Series, beforeMs: number): void {
    const nodes = this.#gauges.get(series);
    if (nodes === undefined) return;
    for (const [node, { atMs }] of nodes) if (atMs <= beforeMs) nodes.delete(node);
    this.#gaugeValues += nodes.size;
    series.value = sumOf(nodes);
  }

  /** The newest definitions first. */
  #exposed(): readonly ExposedFamily[] {
    this.#sweep();
    const own = new Map(this.#options.exposition.measured().map((one) => [one.name, one]));
    return [...this.#families.values()]
      .sort((a, b) => b.usedMs - a.usedMs)
      .flatMap(({ series }) => exposedWith(series, own.get(series.definition.name)) ?? []);
  }
}

/** Undefined: nothing, or this mixer counts something else by that name. */
function exposedWith(of: MetricSeries, own: MeasuredFamily | undefined): ExposedFamily | undefined {
  const { definition } = of;
  const { name, help, type, bounds } = of.measured();
  if (own !== undefined && own.type !== type) return undefined;
  if (own !== undefined && type === "histogram" && own.bounds.join() !== bounds.join())
    return undefined;
  const also = new Map<string, MeasuredSeries>();
  for (const one of own?.samples ?? []) also.set(one.labels, one);
  const series = new Map<string, string>();
  for (const { labels, value, counts } of of.samples()) {
    const more = also.get(labels);
    const sum = {
      ...{ labels, value: value + (more?.value ?? 0) },
      counts: counts.map((count, i) => count + (more?.counts[i] ?? 0)),
    };
    series.set(labels, seriesText(definition, sum));
  }
  return series.size === 0 ? undefined : { name, help, type, series };
}

function definitionOf(family: PushedFamily): MetricDefinition | undefined {
  const { name, type, help, labelNames, bounds } = family;
  if (type === FamilyType.UNSPECIFIED || !(type in kinds)) return undefined;
  if (!NAME.test(name) || labelNames.length > LABELS_MAX || bounds.length > BUCKETS_MAX) return;
  const isOrdered = labelNames.every((one, i) => i === 0 || labelNames[i - 1]! < one);
  if (!isOrdered || !labelNames.every((one) => LABEL.test(one))) return undefined;
  const isRising = bounds.every((one, i) => i === 0 || bounds[i - 1]! < one);
  if (!isRising || !bounds.every(Number.isFinite)) return undefined;
  if (type !== FamilyType.HISTOGRAM && bounds.length > 0) return undefined;
  return { name, help: help.slice(0, HELP_MAX), kind: kinds[type], labelNames, bounds };
}

function fits(
  { kind, labelNames, bounds }: MetricDefinition,
  { values, overflow, value, counts }: PushedSeries,
): boolean {
  if (!Number.isFinite(value) || values.length !== (overflow ? 0 : labelNames.length)) return false;
  if (counts.length !== (kind === "DISTRIBUTION" ? bounds.length + 1 : 0)) return false;
  return values.reduce((sum, one) => sum + one.length, 0) <= LABEL_TEXT_MAX;
}

function sumOf(nodes: ReadonlyMap<string, NodeValue>): number {
  let sum = 0;
  for (const { value } of nodes.values()) sum += value;
  return sum;
}
