/**
 * What is told of exchanges after they are over, off their path: each leaves what rules read of it,
 * and at the end of the event loop's turn instances are made of it and handed to adapters.
 *
 *   finish ─▶ take() ─▶ filled in ─▶ put() … end of the turn ─▶ PolicyScope.report
 *
 * Entries are reused. A turn that brings more than the queue holds has the rest dropped, counted.
 */
import { Turn, type TurnUser } from "../../io/turn.ts";
import type { Counter } from "../../telemetry/metrics.ts";

export interface ReportQueueParts<Entry> {
  readonly make: () => Entry;
  /** Makes a report of it; the entry is reused afterwards. */
  readonly tell: (entry: Entry) => void;
  readonly dropped: Counter;
}

/** Of a turn; a turn of a busy proxy has some hundreds. */
export const QUEUE_MAX = 4_096;
/** Kept between turns. */
const SPARE_MAX = 512;

export class ReportQueue<Entry> implements TurnUser {
  readonly #parts: ReportQueueParts<Entry>;
  readonly #turn: Turn;
  readonly #waiting: Entry[] = [];
  readonly #spare: Entry[] = [];

  constructor(parts: ReportQueueParts<Entry>, turn: Turn = new Turn()) {
    this.#parts = parts;
    this.#turn = turn;
  }

  /** To be filled in and put; undefined: there is no room, and it is counted. */
  take(): Entry | undefined {
    if (this.#waiting.length >= QUEUE_MAX) {
      this.#parts.dropped.increment();
      return undefined;
    }
    return this.#spare.pop() ?? this.#parts.make();
  }

  put(entry: Entry): void {
    if (this.#waiting.push(entry) === 1) this.#turn.add(this);
  }

  turnEnded(): void {
    this.flush();
  }

  /** Tells of all that wait, now. */
  flush(): void {
    const waiting = this.#waiting;
    for (let i = 0; i < waiting.length; i++) {
      const entry = waiting[i]!;
      this.#parts.tell(entry);
      if (this.#spare.length < SPARE_MAX) this.#spare.push(entry);
    }
    waiting.length = 0;
  }
}
