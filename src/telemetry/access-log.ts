/**
 * One line for each exchange, encoded as bytes into one buffer that is written when it is full or
 * 100 ms old. The writer never waits: if the file cannot keep up, lines are dropped and counted.
 */
import type { Clock } from "../core/clock.ts";
import { AccessRecord } from "./access-record.ts";

export type AccessLogFormat = "text" | "json";

export interface AccessLogOptions {
  readonly format: AccessLogFormat;
  /** "-" is stdout. */
  readonly path: string;
  readonly clock: Clock;
}

export class AccessLog {
  #dropped = 0;

  constructor(_options: AccessLogOptions) {}

  get dropped(): number {
    return this.#dropped;
  }

  /** A clean record. */
  acquire(): AccessRecord {
    return new AccessRecord();
  }

  /** Writes the line and takes the record back; it must not be touched afterwards. */
  write(_record: AccessRecord): void {}

  /** Takes a record back without a line. */
  release(_record: AccessRecord): void {}

  /** Opens the path again, after a rotation by rename. */
  reopen(): void {}

  /** Writes what is left, waiting for it, and closes. */
  close(): void {}
}
