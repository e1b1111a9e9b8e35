/**
 * What an encoder made of the pseudo-fields of requests that come again (known-line.ts), to be
 * written again as it is: as long as nothing has changed in its table. As sent-run.ts for fields.
 */
import type { MessageHead } from "../http/message-head.ts";
import { noBytes } from "./buffer-pool.ts";
import type { OutputBuffer } from "./output-buffer.ts";

/** Lines that are kept, each at its id modulo their number. */
const kept = 8;

class SentLine {
  id = 0;
  version = -1;
  /** `te: trailers` is among them. */
  acceptsTrailers = false;
  block: Uint8Array = noBytes;
}

export class SentLines {
  readonly #lines: (SentLine | undefined)[] = Array.from({ length: kept }, () => undefined);

  /** Writes what is known of the head's line; false: nothing is. */
  repeat(head: MessageHead, version: number, out: OutputBuffer): boolean {
    const line = this.#lines[head.lineId % kept];
    if (line === undefined || line.id !== head.lineId || line.version !== version) return false;
    if (line.acceptsTrailers !== head.acceptsTrailers) return false;
    const { length } = line.block;
    out.reserve(length);
    out.range(line.block, 0, length);
    return true;
  }

  /** The output ends with the head's line, which left no trace in the encoder: its last octets. */
  keep(head: MessageHead, version: number, out: OutputBuffer, length: number): void {
    const at = head.lineId % kept;
    const line = this.#lines[at] ?? new SentLine();
    this.#lines[at] = line;
    line.id = head.lineId;
    line.version = version;
    line.acceptsTrailers = head.acceptsTrailers;
    line.block = out.bytes.slice(out.end - length, out.end);
  }
}
