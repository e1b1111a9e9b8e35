/**
 * Output is gathered in one shared buffer, so that a head and a small body leave in one write. It
 * is gathered for one side at a time, and flushed before the event ends.
 */
import { HeadWriter } from "../../http1/head-writer.ts";
import type { SocketSide } from "../upstream/socket-side.ts";

/** Room for the largest head, what we add to it, and a small body. */
const OUTPUT_BYTES = 128 * 1024;
/** A larger range costs more to copy than to write by itself. */
const STAGED_RANGE_MAX = 16 * 1024;

export class Staging extends HeadWriter {
  constructor() {
    super(Buffer.alloc(OUTPUT_BYTES));
  }

  /** Whether a range of this length would leave together with what is here. */
  takes(length: number): boolean {
    return length <= STAGED_RANGE_MAX && this.at + length <= this.out.length;
  }

  /** What `side` is sent at the end of this event: a range more. */
  stage(side: SocketSide, bytes: Uint8Array, from: number, to: number): void {
    if (this.takes(to - from)) {
      this.addRange(bytes, from, to);
      return;
    }
    this.flush(side);
    side.send(bytes, from, to - from);
  }

  flush(side: SocketSide): void {
    const length = this.at;
    if (length === 0) return;
    this.at = 0;
    side.send(this.out, 0, length);
  }
}
