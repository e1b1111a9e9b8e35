/**
 * What an encoder made of runs of fields (field-run.ts), to be written again as it is: as long as
 * nothing has changed in its table, and as long as the same fields of the run are dropped.
 */
import type { MessageHead } from "../http/message-head.ts";
import { noBytes } from "./buffer-pool.ts";
import { runFieldsMax } from "./op-run.ts";
import type { OutputBuffer } from "./output-buffer.ts";

/** Runs that are kept, each at its id modulo their number. */
const kept = 4;

class SentRun {
  id = 0;
  version = -1;
  count = 0;
  block: Uint8Array = noBytes;
  /** Where each field ends in the block. */
  readonly end: Int32Array = new Int32Array(runFieldsMax);
  readonly dropped: Uint8Array = new Uint8Array(runFieldsMax);
}

export class SentRuns {
  readonly #runs: (SentRun | undefined)[] = [undefined, undefined, undefined, undefined];
  /** Of the fields that are being written. */
  readonly #end = new Int32Array(runFieldsMax);

  /** Writes what is known of the head's run; returns how many fields that was. */
  repeat(head: MessageHead, version: number, out: OutputBuffer): number {
    const { runId, runFrom, dropped } = head;
    const run = this.#runs[runId % kept];
    if (run === undefined || run.id !== runId || run.version !== version) return 0;
    const count = Math.min(run.count, head.runCount);
    for (let i = 0; i < count; i++) if (run.dropped[i] !== dropped[runFrom + i]) return 0;
    const length = run.end[count - 1]!;
    out.reserve(length);
    out.range(run.block, 0, length);
    return count;
  }

  /** Field i of the run has been written: the output ends there, `from` where the run began. */
  note(i: number, out: OutputBuffer, from: number): void {
    this.#end[i] = out.base + out.end - from;
  }

  /** All fields of the head's run were noted, and left no trace in the encoder. */
  keep(head: MessageHead, version: number, out: OutputBuffer): void {
    const { runId, runFrom, runCount, dropped } = head;
    const run = this.#runs[runId % kept] ?? new SentRun();
    this.#runs[runId % kept] = run;
    run.id = runId;
    run.version = version;
    run.count = runCount;
    const length = this.#end[runCount - 1]!;
    run.block = out.bytes.slice(out.end - length, out.end);
    for (let i = 0; i < runCount; i++) {
      run.end[i] = this.#end[i]!;
      run.dropped[i] = dropped[runFrom + i]!;
    }
  }
}
