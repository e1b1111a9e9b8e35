/**
 * Who changed what, and who was refused what. Each change is kept; of the same refusal over and
 * over the first is kept at once, and how many there were when a while is over. There is room for
 * so many changes and, apart from them, so many refusals: who is refused often displaces no change.
 */
import { type Caller, whoText } from "../../api/principal.ts";
import type { Clock } from "../../core/clock.ts";

export interface AuditEvent {
  /** "ann", "spiffe://…", "loopback" */
  readonly who: string;
  /** "10.0.0.7:51234"; empty: in this process. */
  readonly address: string;
  /** "rule created", "certificate issued", "call refused" */
  readonly action: string;
  /** "RouteRule/default/canary" */
  readonly object: string;
  readonly detail: string;
  readonly allowed: boolean;
}

export interface AuditRecord extends AuditEvent {
  /** The time of day. */
  readonly timeMs: number;
}

/** Where they are kept: a bounded number of each sort. */
export interface AuditStore {
  append(record: AuditRecord): void;
  /** Newest first. */
  list(limit: number): readonly AuditRecord[];
  close(): void;
}

export interface AuditCounts {
  readonly changes: number;
  readonly refusals: number;
}

const WINDOW_MS = 10_000;
/** Of different refusals in one window; further ones are counted together. */
const REFUSALS_MAX = 200;
const TEXT_MAX = 500;

export class AuditLog {
  readonly #store: AuditStore;
  readonly #clock: Clock;
  /** Kept in this window, and how often they came again. */
  readonly #refusals = new Map<string, { readonly event: AuditEvent; again: number }>();
  readonly #counts = { changes: 0, refusals: 0 };
  #further = 0;
  #endWindow: (() => void) | undefined;

  constructor(store: AuditStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  get counts(): AuditCounts {
    return this.#counts;
  }

  record(event: AuditEvent): void {
    this.#counts[event.allowed ? "changes" : "refusals"]++;
    if (event.allowed) this.#keep(event);
    else this.#refused(event);
  }

  /** Newest first. */
  list(limit: number): readonly AuditRecord[] {
    return this.#store.list(limit);
  }

  close(): void {
    this.#endWindow?.();
    this.#summarize();
    this.#store.close();
  }

  #refused(event: AuditEvent): void {
    const { who, address, action, object, detail } = event;
    const host = address.replace(/:\d+$/, "");
    const key = [who, host, action, object, detail].join("\n");
    const known = this.#refusals.get(key);
    if (known !== undefined) known.again++;
    else if (this.#refusals.size >= REFUSALS_MAX) this.#further++;
    else {
      this.#refusals.set(key, { event, again: 0 });
      this.#keep(event);
    }
    this.#endWindow ??= this.#clock.after(WINDOW_MS, () => this.#summarize());
  }

  #summarize(): void {
    this.#endWindow = undefined;
    for (const { event, again } of this.#refusals.values())
      if (again > 0) this.#keep({ ...event, detail: `${event.detail} (${again} times more)` });
    this.#refusals.clear();
    if (this.#further === 0) return;
    const detail = `${this.#further} more, of too many sorts to name`;
    this.#further = 0;
    const of = { who: "", address: "", action: "call refused", object: "", detail };
    this.#keep({ ...of, allowed: false });
  }

  #keep(event: AuditEvent): void {
    const cut = (text: string): string => text.slice(0, TEXT_MAX);
    this.#store.append({
      timeMs: this.#clock.wallMs(),
      who: cut(event.who),
      address: cut(event.address),
      action: cut(event.action),
      object: cut(event.object),
      detail: cut(event.detail),
      allowed: event.allowed,
    });
  }
}

/** What a caller did, or was refused. */
export function auditEvent(
  { principal, address }: Caller,
  what: Omit<AuditEvent, "who" | "address">,
): AuditEvent {
  return { who: whoText(principal), address, ...what };
}
