/**
 * Questions and reports to one mixer, as messages: a call is tried again where nobody judged it,
 * and a mixer that knows fewer words than we is spoken to in those that all know. Spec: mixer 2.3.
 */
import { fromBinary } from "@bufbuild/protobuf";
import {
  type CheckRequest,
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
  Mixer,
  type ReportRequest,
  ReportRequestSchema,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import type { GrpcClient } from "../../api/grpc-client.ts";
import { framed } from "../../api/grpc-text.ts";
import type { CallAnswer } from "../../api/outgoing-call.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { Counter, MetricScope } from "../../telemetry/metrics.ts";

export interface ChannelOptions {
  readonly client: GrpcClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: MetricScope;
  /** Of one try. */
  readonly timeoutMs: number;
  readonly retriesMax: number;
}

export interface CheckAnswered {
  readonly response: CheckResponse;
  header(name: string): string | undefined;
}

export type OnCheck = (answered: CheckAnswered | undefined, reason: string) => void;

/** Words that every mixer ever knew. */
const WORDS_MIN = 111;
const REPORTS_UNDER_WAY_MAX = 8;
const RETRY_BASE_MS = 80;
const RETRY_MAX_MS = 1_000;
/** The mixer answers only what a proxy cannot. */
const HEADERS = "mesh-remote-only: 1\r\n";
const DICTIONARY = /^inconsistent global dictionary/;

type Outcome = "success" | "timeout" | "unavailable" | "refused";

export class MixerChannel {
  readonly #options: ChannelOptions;
  readonly #checks: Readonly<Record<Outcome, Counter>>;
  readonly #reports: Readonly<Record<Outcome, Counter>>;
  readonly #reported: Counter;
  readonly #dropped: Counter;
  #words = globalWords.length;
  #reportsUnderWay = 0;

  constructor(options: ChannelOptions) {
    this.#options = options;
    const { metrics } = options;
    const counters = (call: string): Readonly<Record<Outcome, Counter>> => {
      const help = "Calls to the mixer by how they ended.";
      const of = (outcome: Outcome): Counter =>
        metrics.counter("mesh_mixer_calls_total", help, { call, outcome });
      const [success, timeout] = [of("success"), of("timeout")];
      return { success, timeout, unavailable: of("unavailable"), refused: of("refused") };
    };
    this.#checks = counters("check");
    this.#reports = counters("report");
    this.#reported = metrics.counter("mesh_mixer_reported_total", "Exchanges told to the mixer.");
    this.#dropped = metrics.counter(
      "mesh_mixer_reports_dropped_total",
      "Exchanges that the mixer was not told of: it was away, or too slow.",
    );
  }

  /** How many words of the global list the mixer knows. */
  get words(): number {
    return this.#words;
  }

  /** Returns what ends it: `onCheck` is not called then. */
  check(request: CheckRequest, onCheck: OnCheck): () => void {
    const { client, clock, timeoutMs, retriesMax } = this.#options;
    const bytes = framed(CheckRequestSchema, request);
    let cancel: () => void;
    let tries = 0;
    const ask = (): void => {
      const { check } = Mixer.method;
      cancel = client.call(check, bytes, { timeoutMs, headers: HEADERS, onAnswer });
    };
    const onAnswer = (answer: CallAnswer): void => {
      this.#judge(this.#checks, answer);
      if (answer.ok) return this.#checked(answer, onCheck);
      if (answer.isLost && tries++ < retriesMax) cancel = clock.after(this.#pauseMs(tries), ask);
      else onCheck(undefined, answer.reason);
    };
    ask();
    return () => cancel();
  }

  /** No second try: what cannot be told now is dropped, and counted. */
  report(request: ReportRequest): void {
    const entries = request.attributes.length;
    if (this.#reportsUnderWay >= REPORTS_UNDER_WAY_MAX) return this.#dropped.add(entries);
    this.#reportsUnderWay++;
    const bytes = framed(ReportRequestSchema, request);
    const onAnswer = (answer: CallAnswer): void => {
      this.#reportsUnderWay--;
      this.#judge(this.#reports, answer);
      // UNKNOWN: some backend did not take it, and the mixer says so in its own metrics.
      (answer.ok || !answer.isLost ? this.#reported : this.#dropped).add(entries);
    };
    const { client, timeoutMs } = this.#options;
    client.call(Mixer.method.report, bytes, { timeoutMs, headers: HEADERS, onAnswer });
  }

  #checked(answer: Extract<CallAnswer, { ok: true }>, onCheck: OnCheck): void {
    let response: CheckResponse;
    try {
      response = fromBinary(CheckResponseSchema, answer.message);
    } catch {
      return onCheck(undefined, "the mixer's answer cannot be decoded");
    }
    onCheck({ response, header: (name) => answer.header(name) }, "");
  }

  #judge(counters: Readonly<Record<Outcome, Counter>>, answer: CallAnswer): void {
    counters[outcomeOf(answer)].increment();
    if (!answer.ok && !answer.isLost && DICTIONARY.test(answer.reason)) this.#words = WORDS_MIN;
  }

  #pauseMs(attempt: number): number {
    const most = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** attempt);
    return RETRY_BASE_MS + this.#options.random() * (most - RETRY_BASE_MS);
  }
}

function outcomeOf(answer: CallAnswer): Outcome {
  if (answer.ok) return "success";
  if (!answer.isLost) return "refused";
  return answer.reason.startsWith("no answer within") ? "timeout" : "unavailable";
}
