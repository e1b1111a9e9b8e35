/**
 * Quotas that are asked for ahead: tokens by quota, and by the values that its counter depends on.
 * Spec table: mixer 2.2.
 *
 *   take(quota, request) ─▶ shape known, key known ─▶ QuotaPrefetch of that key
 *                           else ─▶ one that all such requests share, until its first answer
 *                                   tells what it depends on, and so whose it is
 */
import type { CheckResponse } from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import type { AttributeBag } from "../../attribute/bag.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import { StatusCode } from "../../policy/status-code.ts";
import { validMsOf } from "./check-answer.ts";
import { LruMap } from "./lru-map.ts";
import {
  type Fetch,
  type OnTaken,
  type PrefetchOptions,
  QuotaPrefetch,
  type Taken,
} from "./quota-prefetch.ts";
import { type ReferencedShape, shapeOf } from "./referenced-shape.ts";

type QuotaResult = CheckResponse["quotas"][string];

/** With what the message has no place for. */
export type FetchedQuota = QuotaResult & { readonly retryAfterMs?: number };

export interface QuotaNeed {
  readonly quota: string;
  readonly amount: number;
}

/** A question for the mixer; less than the amount is better than nothing. */
export interface QuotaFetch extends QuotaNeed {
  /** `request`: what was asked about. Undefined: the mixer could not be asked. */
  answered(result: FetchedQuota | undefined, request: AttributeBag, nowMs: number): void;
}

/** The request is looked at before this returns, and not afterwards. */
export type AskAhead = (fetch: QuotaFetch, request: AttributeBag) => void;

export interface QuotaCacheOptions extends PrefetchOptions {
  readonly vocabulary: Vocabulary;
  /** 0: nothing is kept. */
  readonly entriesMax: number;
  readonly ask: AskAhead;
}

interface Item {
  readonly prefetch: QuotaPrefetch;
  usedAtMs: number;
}

interface Quota {
  readonly name: string;
  readonly shapes: ReferencedShape[];
  /** Whose counter is not known yet. */
  pending: Item | undefined;
}

const SHAPES_MAX = 16;
const IDLE_MS = 600_000;

export class QuotaCache {
  readonly #options: QuotaCacheOptions;
  readonly #quotas = new Map<string, Quota>();
  readonly #items: LruMap<Item>;
  #retryAfterMs = 0;

  constructor(options: QuotaCacheOptions) {
    this.#options = options;
    this.#items = new LruMap(options.entriesMax);
  }

  /** Of what was denied last, to be read at once; 0: unknown. */
  get retryAfterMs(): number {
    return this.#retryAfterMs;
  }

  get size(): number {
    return this.#items.size;
  }

  /** `onTaken` is called where it waits, and only there. */
  take(need: QuotaNeed, request: AttributeBag, nowMs: number, onTaken: OnTaken): Taken {
    const quota = this.#quota(need.quota);
    const item = this.#itemOf(quota, request) ?? this.#pending(quota, nowMs);
    item.usedAtMs = nowMs;
    const fetch = this.#fetch(quota, item, request);
    const taken = item.prefetch.take(need.amount, nowMs, fetch, onTaken);
    this.#retryAfterMs = item.prefetch.retryAfterMs(nowMs);
    this.#forgetIdle(nowMs);
    return taken;
  }

  #quota(name: string): Quota {
    const found = this.#quotas.get(name);
    if (found !== undefined) return found;
    const quota: Quota = { name, shapes: [], pending: undefined };
    this.#quotas.set(name, quota);
    return quota;
  }

  #itemOf({ name, shapes }: Quota, request: AttributeBag): Item | undefined {
    for (const shape of shapes) {
      const values = shape.keyOf(request);
      if (values === undefined) continue;
      const item = this.#items.get(keyOf(name, shape, values));
      if (item !== undefined) return item;
    }
    return undefined;
  }

  #pending(quota: Quota, nowMs: number): Item {
    quota.pending ??= { prefetch: new QuotaPrefetch(this.#options, nowMs), usedAtMs: nowMs };
    return quota.pending;
  }

  #fetch(quota: Quota, item: Item, request: AttributeBag): Fetch {
    return (amount) =>
      this.#options.ask(
        {
          quota: quota.name,
          amount,
          answered: (result, asked, nowMs) => this.#answered(quota, item, { result, asked, nowMs }),
        },
        request,
      );
  }

  #answered(quota: Quota, item: Item, answer: Answer): void {
    const { result, asked, nowMs } = answer;
    if (result !== undefined && item === quota.pending) this.#settle(quota, answer);
    const grant = result && {
      amount: Math.max(0, Number(result.grantedAmount)),
      validMs: validMsOf(result.validDuration),
      retryAfterMs: result.retryAfterMs ?? 0,
    };
    this.#retryAfterMs = grant?.retryAfterMs ?? 0;
    item.prefetch.fetched(grant, nowMs, this.#fetch(quota, item, asked));
  }

  /** Where it cannot be told whose counter it is, it stays everybody's. */
  #settle(quota: Quota, { result, asked }: Answer): void {
    const shape = shapeOf(result?.referencedAttributes, this.#options.vocabulary, asked);
    const values = shape?.keyOf(asked);
    if (shape === undefined || values === undefined) return;
    this.#items.set(keyOf(quota.name, shape, values), quota.pending!);
    quota.pending = undefined;
    if (quota.shapes.some(({ signature }) => signature === shape.signature)) return;
    if (quota.shapes.length >= SHAPES_MAX) quota.shapes.shift();
    quota.shapes.push(shape);
  }

  /** One at a time: those unused for long are at the end of the list. */
  #forgetIdle(nowMs: number): void {
    const { oldest } = this.#items;
    if (oldest !== undefined && nowMs - oldest.usedAtMs > IDLE_MS) this.#items.deleteOldest();
  }
}

interface Answer {
  readonly result: FetchedQuota | undefined;
  readonly asked: AttributeBag;
  readonly nowMs: number;
}

function keyOf(quota: string, { signature }: ReferencedShape, values: string): string {
  return `${quota.length}:${quota}${signature}${values}`;
}

/** Of a quota that was asked for with the request itself: it passes where nobody could count. */
export function isGranted(result: QuotaResult | undefined): boolean {
  if (result?.status?.code === StatusCode.unavailable) return true;
  return result !== undefined && result.grantedAmount > 0n;
}

export function exhaustedMessage(quotas: readonly string[]): string {
  return `Quota is exhausted for: ${quotas.join(",")}`;
}
