/** The request body on its way to the upstream, decoded only as far as its end has to be found. */

import { type Failure, Failures } from "../../core/failure.ts";
import { Framing } from "../../http/message-head.ts";
import { ChunkEvent } from "../../http1/chunked-decoder.ts";
import { type Exchange, Form, Phase } from "./exchange.ts";
import { armTimer, startRouteTimeout } from "./timing.ts";
import { sendContent, sendEnd } from "./upstream-writer.ts";

const NO_BYTES = new Uint8Array(0);
/** Of one request in a turn: a read of 512 KiB may bring 87,381 of one octet. */
const CHUNKS_A_TURN = 256;

/**
 * Passes on what is in the downstream's input, up to the end of the request; the caller flushes.
 * Returns why the request is malformed, if it is.
 */
export function takeBody(ex: Exchange): Failure | undefined {
  const failure = takeFramed(ex);
  return failure ?? (ex.call?.web?.failed === true ? Failures.badWebContent : undefined);
}

function takeFramed(ex: Exchange): Failure | undefined {
  const downstream = ex.downstream!;
  const { input } = downstream;
  if (ex.requestFraming === Framing.stream) return takeStream(ex, input);
  if (input === undefined || downstream.inputAt >= downstream.inputEnd) return undefined;
  switch (ex.requestFraming) {
    case Framing.length:
      takeLength(ex, input);
      return undefined;
    case Framing.chunked:
      return takeChunks(ex, input);
    case Framing.tunnel:
      sendContent(ex, input, downstream.inputAt, downstream.inputEnd);
      downstream.inputAt = downstream.inputEnd;
      return undefined;
    default:
      return undefined;
  }
}

function takeStream(ex: Exchange, input: Uint8Array | undefined): undefined {
  const downstream = ex.downstream!;
  if (input !== undefined && downstream.inputAt < downstream.inputEnd) {
    sendContent(ex, input, downstream.inputAt, downstream.inputEnd);
    downstream.inputAt = downstream.inputEnd;
  }
  if (!downstream.inputDone) return;
  const trailers = downstream.inputTrailers ?? NO_BYTES;
  sendEnd(ex, trailers, trailers.length);
  requestDone(ex);
}

function takeLength(ex: Exchange, input: Uint8Array): void {
  const downstream = ex.downstream!;
  const from = downstream.inputAt;
  const to = Math.min(downstream.inputEnd, from + ex.requestRemaining);
  ex.requestRemaining -= to - from;
  downstream.inputAt = to;
  sendContent(ex, input, from, to);
  if (ex.requestRemaining > 0) return;
  sendEnd(ex, NO_BYTES, 0);
  requestDone(ex);
}

function takeChunks(ex: Exchange, input: Uint8Array): Failure | undefined {
  const downstream = ex.downstream!;
  const chunks = ex.requestChunks;
  const relays = ex.requestForm === Form.relay;
  chunks.chunksLeft = CHUNKS_A_TURN;
  for (;;) {
    const { inputAt, inputEnd } = downstream;
    downstream.inputAt = relays
      ? chunks.relay(input, inputAt, inputEnd)
      : chunks.next(input, inputAt, inputEnd);
    switch (chunks.event) {
      case ChunkEvent.data:
        sendContent(ex, input, chunks.dataStart, chunks.dataEnd);
        break;
      case ChunkEvent.end:
        sendEnd(ex, chunks.trailers, chunks.trailersLength);
        requestDone(ex);
        return undefined;
      case ChunkEvent.failed:
        return chunks.failure;
      default:
        if (chunks.isSpent && downstream.inputAt < inputEnd) downstream.waitForTurn();
        return undefined;
    }
  }
}

function requestDone(ex: Exchange): void {
  ex.requestDone = true;
  ex.copy?.end();
  ex.sentMs = ex.env.nowMs;
  startRouteTimeout(ex);
  if (ex.phase === Phase.head) armTimer(ex);
}
