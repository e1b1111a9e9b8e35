/**
 * The proxy's side of the mixer: answers from what is kept where it can, asks where it must, and
 * tells what happened in batches. Spec tables: mixer 2.1 to 2.4.
 *
 *   check ─▶ CheckCache ── hit ─▶ QuotaCache, if quotas are needed ─▶ at once
 *                      └─ miss ─▶ MixerChannel ─▶ kept for the next one ─▶ asker
 *
 * What is kept belongs to one policy: another generation of ours voids it, and so does an answer of
 * a mixer that runs on another version. For a moment after a change the two may differ; what comes
 * in that moment is kept for a second at most.
 */
import { create } from "@bufbuild/protobuf";
import {
  type CheckRequest,
  CheckRequestSchema,
  type CheckResponse,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { GrpcClient } from "../../api/grpc-client.ts";
import { encodeAttributes } from "../../attribute/attribute-message.ts";
import type { AttributeBag, MutableBag } from "../../attribute/bag.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import { WordWriter } from "../../attribute/word-list.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import { StatusCode } from "../../policy/status-code.ts";
import type { PolicyEngine, PolicyScope } from "../../policy/verdict.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type {
  MixerAnswer,
  MixerAsker,
  MixerCall,
  MixerClient,
  MixerQuota,
} from "../policy/mixer-seat.ts";
import { answerOf, retryAfterMsOf, validityOf } from "./check-answer.ts";
import { CheckCache } from "./check-cache.ts";
import { type CheckAnswered, MixerChannel } from "./mixer-channel.ts";
import { exhaustedMessage, isGranted, QuotaCache, type QuotaFetch } from "./quota-cache.ts";
import { QuotaWait } from "./quota-wait.ts";
import { shapeOf } from "./referenced-shape.ts";
import { ReportBatch } from "./report-batch.ts";
import { RequestCopier } from "./request-copy.ts";

export interface MixerClientOptions {
  readonly hostname: string;
  readonly port: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of one try of a call. */
  readonly timeoutMs: number;
  readonly retriesMax: number;
  /** Answers that are kept; 0: none. */
  readonly cacheMax: number;
  /** Requests pass before their quota is granted, as the original's did. */
  readonly optimistic: boolean;
}

const CALLS_MAX = 1_000;
const CONNECT_MS = 500;
const ANSWER_BYTES_MAX = 1 << 20;
const CLOSING_MS = 1_000;
/** After a change, until all have heard of it. */
const SETTLING_MS = 5_000;
const UNSETTLED_KEPT_MS = 1_000;
const VERSION_HEADER = "mesh-policy-version";

/** What depends on the vocabulary. */
interface Following {
  readonly engine: PolicyEngine;
  readonly vocabulary: Vocabulary;
  readonly copier: RequestCopier;
  readonly quotas: QuotaCache;
}

export class RemoteMixer implements MixerClient {
  readonly #options: MixerClientOptions;
  readonly #client: GrpcClient;
  readonly #channel: MixerChannel;
  readonly #cache: CheckCache;
  readonly #batch: ReportBatch;
  readonly #dedupPrefix = crypto.randomUUID();
  #dedupCount = 0;
  #following: Following | undefined;
  #settledAtMs = 0;
  #mixerVersion = "";
  #generation = 0;

  constructor(options: MixerClientOptions) {
    this.#options = options;
    const { hostname, port, clock, random, log, metrics, timeoutMs, retriesMax } = options;
    this.#client = new GrpcClient({
      ...{ hostname, port, clock, random },
      connectMs: Math.min(CONNECT_MS, timeoutMs),
      callsMax: CALLS_MAX,
      answerBytesMax: ANSWER_BYTES_MAX,
      onState: (state, reason) => {
        if (state === "open") log.info("connected to the mixer");
        else log.warn("the mixer is away", { reason });
      },
    });
    const client = this.#client;
    this.#channel = new MixerChannel({ client, clock, random, metrics, timeoutMs, retriesMax });
    this.#cache = new CheckCache(options.cacheMax);
    this.#batch = new ReportBatch({
      ...{ clock, entriesMax: 100, delayMs: 1_000 },
      globalCount: () => this.#channel.words,
      send: (request) => this.#channel.report(request),
    });
    this.#showCache(metrics);
  }

  follow(engine: PolicyEngine, vocabulary: Vocabulary): void {
    const { clock, optimistic } = this.#options;
    const quotas = new QuotaCache({
      ...{ vocabulary, entriesMax: 10_000, optimistic },
      closedMs: optimistic ? 500 : 100,
      ask: (fetch, request) => this.#askAhead(fetch, request),
    });
    this.#following = { engine, vocabulary, copier: new RequestCopier(vocabulary), quotas };
    this.#settledAtMs = clock.nowMs() + SETTLING_MS;
    this.#cache.setGeneration(++this.#generation);
  }

  check(
    bag: AttributeBag,
    scope: PolicyScope,
    asker: MixerAsker,
    quotas: readonly MixerQuota[] = [],
  ): MixerAnswer | MixerCall {
    const following = this.#following;
    if (following === undefined) return failSoon(asker, "there is no policy yet");
    const known = this.#cache.lookup(bag, this.#options.clock.nowMs());
    if (known === undefined) return this.#ask(bag, scope, { asker, quotas, following });
    if (quotas.length === 0 || known.code !== StatusCode.ok) return known;
    return this.#take(following.copier.copy(bag, scope), known, { asker, quotas, following });
  }

  report(bag: AttributeBag, scope: PolicyScope): void {
    if (this.#following !== undefined) this.#batch.add(this.#following.copier.values(bag, scope));
  }

  close(): void {
    this.#following = undefined;
    this.#batch.flush();
    this.#client.closeAfter(CLOSING_MS);
  }

  #ask(bag: AttributeBag, scope: PolicyScope, question: Question): MixerCall {
    const { asker, quotas, following } = question;
    const copy = following.copier.copy(bag, scope);
    const request = this.#request(copy);
    for (const { quota, amount } of quotas) request.quotas[quota] = quotaParams(amount, false);
    const cancel = this.#channel.check(request, (answered, reason) => {
      if (answered === undefined) return asker.mixerFailed(reason);
      const answer = this.#learn(answered, copy, following);
      if (answer === undefined) return asker.mixerFailed("the mixer's answer says nothing");
      const refused = quotas.filter(({ quota }) => !isGranted(answered.response.quotas[quota]));
      const isAllowed = answer.code !== StatusCode.ok || refused.length === 0;
      asker.mixerAnswered(isAllowed ? answer : exhausted(refused, answer.retryAfterMs));
    });
    return { at: "asked", isCheckKnown: false, cancel };
  }

  /** By tokens that are there, or after a fetch of more. */
  #take(request: MutableBag, known: MixerAnswer, question: Question): MixerAnswer | MixerCall {
    const { asker, quotas, following } = question;
    const nowMs = this.#options.clock.nowMs();
    const wait = new QuotaWait(asker, known, exhausted);
    for (const need of quotas) {
      const { quotas: cache } = following;
      const onTaken = (granted: boolean | undefined): void =>
        wait.told(need, granted, cache.retryAfterMs);
      const taken = cache.take(need, request, nowMs, onTaken);
      wait.taken(need, taken, cache.retryAfterMs);
    }
    return wait.outcome();
  }

  #askAhead({ quota, amount, answered }: QuotaFetch, asked: AttributeBag): void {
    const copy = asked as MutableBag;
    const request = this.#request(copy);
    request.quotas[quota] = quotaParams(amount, true);
    const { clock } = this.#options;
    this.#channel.check(request, (got) => {
      const result = got?.response.quotas[quota];
      const fetched = result && got && { ...result, retryAfterMs: retryAfterMsOf(got.header) };
      answered(fetched, copy, clock.nowMs());
    });
  }

  #request(copy: MutableBag): CheckRequest {
    const { words } = this.#channel;
    const writer = new WordWriter(words);
    const values = copy.wireValues();
    const attributes = encodeAttributes(values, writer);
    attributes.words = writer.words;
    return create(CheckRequestSchema, {
      attributes,
      globalWordCount: words,
      deduplicationId: `${this.#dedupPrefix}${this.#dedupCount++}`,
    });
  }

  /** Undefined: it says nothing. */
  #learn(
    { response, header }: CheckAnswered,
    request: MutableBag,
    following: Following,
  ): MixerAnswer | undefined {
    const { precondition } = response as CheckResponse;
    if (precondition === undefined) return undefined;
    const answer = answerOf(precondition, header);
    // Asked under a policy that is not in force any more: good for whoever asked, and nobody else.
    if (following !== this.#following) return answer;
    this.#heardVersion(header(VERSION_HEADER) ?? "");
    const nowMs = this.#options.clock.nowMs();
    const { durationMs, useCount } = validityOf(precondition);
    const most = nowMs < this.#settledAtMs ? UNSETTLED_KEPT_MS : Number.POSITIVE_INFINITY;
    const shape = shapeOf(precondition.referencedAttributes, following.vocabulary, request);
    const validity = { durationMs: Math.min(durationMs, most), useCount, nowMs };
    this.#cache.store(request, shape, answer, validity);
    return answer;
  }

  #heardVersion(version: string): void {
    if (version === this.#mixerVersion) return;
    this.#mixerVersion = version;
    this.#cache.setGeneration(++this.#generation);
  }

  #showCache(metrics: Metrics): void {
    const cache = this.#cache;
    const lookups = "Questions for the mixer by whether the answer was known.";
    const name = "mesh_mixer_cache_lookups_total";
    const hits = metrics.counter(name, lookups, { result: "hit" });
    const misses = metrics.counter(name, lookups, { result: "miss" });
    const entries = metrics.gauge(
      "mesh_mixer_cache_entries",
      "Answers of the mixer that are kept.",
    );
    metrics.beforeScrape(() => {
      hits.add(cache.hits - hits.value);
      misses.add(cache.misses - misses.value);
      entries.set(cache.size);
    });
  }
}

interface Question {
  readonly asker: MixerAsker;
  readonly quotas: readonly MixerQuota[];
  readonly following: Following;
}

function quotaParams(amount: number, bestEffort: boolean) {
  return {
    $typeName: "istio.mixer.v1.CheckRequest.QuotaParams" as const,
    amount: BigInt(Math.trunc(amount)),
    bestEffort,
  };
}

function exhausted(quotas: readonly MixerQuota[], retryAfterMs: number): MixerAnswer {
  return {
    at: "answered",
    code: StatusCode.resourceExhausted,
    message: exhaustedMessage(quotas.map(({ quota }) => quota)),
    rule: "",
    direct: undefined,
    requestHeaders: [],
    responseHeaders: [],
    retryAfterMs,
  };
}

function failSoon(asker: MixerAsker, reason: string): MixerCall {
  let isCancelled = false;
  queueMicrotask(() => {
    if (!isCancelled) asker.mixerFailed(reason);
  });
  return {
    at: "asked",
    isCheckKnown: false,
    cancel: () => {
      isCancelled = true;
    },
  };
}
