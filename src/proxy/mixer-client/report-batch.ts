/**
 * Reports, put together: up to 100, or those of one second. Spec table: mixer 2.4.
 *
 * Each stands alone (INDEPENDENT_ENCODING) and all share one list of words, so what a hundred
 * reports have in common is said once. Attributes are encoded when they are added: nothing of an
 * exchange is held.
 */
import { create } from "@bufbuild/protobuf";
import type { CompressedAttributes } from "../../api/gen/istio/mixer/v1/attributes_pb.ts";
import {
  type ReportRequest,
  ReportRequestSchema,
  ReportRequest_RepeatedAttributesSemantics as Semantics,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { encodeAttributes, messageLimits } from "../../attribute/attribute-message.ts";
import type { WireValue } from "../../attribute/bag.ts";
import { byteLength } from "../../attribute/byte-text.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import { WordWriter } from "../../attribute/word-list.ts";
import type { Clock } from "../../core/clock.ts";

export interface ReportBatchOptions {
  readonly clock: Clock;
  readonly entriesMax: number;
  /** From the first entry on. */
  readonly delayMs: number;
  /** How many words of the global list the mixer knows. */
  readonly globalCount?: () => number;
  readonly send: (request: ReportRequest) => void;
}

/** Half of what a mixer takes in one message. */
const WORD_BYTES_MAX = 512 * 1024;
const WORDS_MAX = messageLimits.words / 2;

export class ReportBatch {
  readonly #options: ReportBatchOptions;
  #writer: WordWriter;
  #entries: CompressedAttributes[] = [];
  #wordBytes = 0;
  #wordsSeen = 0;
  #cancelTimer: () => void = () => {};

  constructor(options: ReportBatchOptions) {
    this.#options = options;
    this.#writer = this.#newWriter();
  }

  get size(): number {
    return this.#entries.length;
  }

  add(values: Iterable<readonly [name: string, value: WireValue]>): void {
    const { clock, entriesMax, delayMs } = this.#options;
    if (this.#entries.length === 0) this.#cancelTimer = clock.after(delayMs, () => this.flush());
    this.#entries.push(encodeAttributes(values, this.#writer));
    this.#weigh();
    const isFull = this.#wordBytes > WORD_BYTES_MAX || this.#wordsSeen > WORDS_MAX;
    if (isFull || this.#entries.length >= entriesMax) this.flush();
  }

  /** Sends what there is. */
  flush(): void {
    this.#cancelTimer();
    const attributes = this.#entries;
    if (attributes.length === 0) return;
    const request = create(ReportRequestSchema, {
      attributes,
      defaultWords: this.#writer.words,
      globalWordCount: this.#globalCount(),
      repeatedAttributesSemantics: Semantics.INDEPENDENT_ENCODING,
    });
    this.#entries = [];
    this.#writer = this.#newWriter();
    this.#wordBytes = 0;
    this.#wordsSeen = 0;
    this.#options.send(request);
  }

  #weigh(): void {
    const { words } = this.#writer;
    for (; this.#wordsSeen < words.length; this.#wordsSeen++)
      this.#wordBytes += byteLength(words[this.#wordsSeen]!) + 4;
  }

  #newWriter(): WordWriter {
    return new WordWriter(this.#globalCount());
  }

  #globalCount(): number {
    return this.#options.globalCount?.() ?? globalWords.length;
  }
}
