/**
 * How often each rule matched, denied and failed: rows of plain numbers, added to by whoever asks
 * and read by an operator who wonders why a rule did or did not apply.
 *
 * A row belongs to a rule's full name and lives as long as an engine has such a rule, so that
 * counts survive publications.
 */
import { assert } from "../core/assert.ts";

/** Its condition has no value; a field of an instance has none; a handler cannot judge; or late. */
export type FaultClass = "match" | "instance" | "handler" | "late";

export interface RuleFigures {
  readonly rule: string;
  /** Checks and quotas that it was asked for. */
  readonly matched: number;
  /** Checks that were answered by no because of it, failures included. */
  readonly denied: number;
  /** Exchanges that it told its handlers of. */
  readonly reported: number;
  readonly failed: Readonly<Record<FaultClass, number>>;
  /** In words; empty: none yet. */
  readonly lastFault: string;
}

const FAULT_MAX = 256;

export class RuleStatistics {
  readonly #rows = new Map<string, number>();
  readonly #users: number[] = [];
  readonly #free: number[] = [];
  readonly matched: number[] = [];
  readonly denied: number[] = [];
  readonly reported: number[] = [];
  readonly failed: Readonly<Record<FaultClass, number[]>> = {
    match: [],
    instance: [],
    handler: [],
    late: [],
  };
  readonly #lastFault: string[] = [];

  /** The row of a rule, for as long as it is not released. */
  acquire(rule: string): number {
    let row = this.#rows.get(rule);
    if (row === undefined) {
      row = this.#free.pop() ?? this.#users.length;
      this.#rows.set(rule, row);
      this.#clear(row);
    }
    this.#users[row]!++;
    return row;
  }

  release(rule: string): void {
    const row = this.#rows.get(rule);
    assert(row !== undefined, "a row is released as often as it is acquired");
    if (--this.#users[row]! > 0) return;
    this.#rows.delete(rule);
    this.#free.push(row);
  }

  fault(row: number, of: FaultClass, message: string): void {
    this.failed[of][row]!++;
    this.#lastFault[row] = message.length > FAULT_MAX ? message.slice(0, FAULT_MAX) : message;
  }

  /** Undefined: no engine has such a rule. */
  of(rule: string): RuleFigures | undefined {
    const row = this.#rows.get(rule);
    if (row === undefined) return undefined;
    const { match, instance, handler, late } = this.failed;
    return {
      rule,
      matched: this.matched[row]!,
      denied: this.denied[row]!,
      reported: this.reported[row]!,
      failed: {
        match: match[row]!,
        instance: instance[row]!,
        handler: handler[row]!,
        late: late[row]!,
      },
      lastFault: this.#lastFault[row]!,
    };
  }

  /** Of all rules, by name. */
  all(): RuleFigures[] {
    return [...this.#rows.keys()].sort().map((rule) => this.of(rule)!);
  }

  #clear(row: number): void {
    this.#users[row] = 0;
    this.matched[row] = 0;
    this.denied[row] = 0;
    this.reported[row] = 0;
    for (const counts of Object.values(this.failed)) counts[row] = 0;
    this.#lastFault[row] = "";
  }
}
