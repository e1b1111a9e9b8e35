/** What an upstream that speaks HTTP/2 sends: a head, content and trailers, as its stream says. */
import { Framing, type MessageHead } from "../../http/message-head.ts";
import { writeContent, writeEnd } from "./downstream-writer.ts";
import { type Exchange, Phase } from "./exchange.ts";
import { finishAnswered } from "./finish.ts";
import { acceptHead, flushResponse, takeInterim } from "./response.ts";
import { beginTunnel, tunnelUpstreamEnded } from "./tunnel.ts";

export function takeStreamInterim(ex: Exchange, _head: MessageHead): void {
  ex.env.output.begin(0);
  ex.progressMs = ex.env.nowMs;
  takeInterim(ex);
}

/** The final head is in env.responseHead; `ended`: there is no content. */
export function takeStreamHead(ex: Exchange, ended: boolean): void {
  const { env } = ex;
  env.output.begin(0);
  ex.progressMs = env.nowMs;
  const { framing } = env.responseHead;
  if (!acceptHead(ex, ended)) return;
  if (framing === Framing.tunnel) {
    env.output.flush(ex.downstream!);
    return beginTunnel(ex);
  }
  // However long the content is said to be, it is over when the stream says so.
  ex.responseFraming = Framing.stream;
  ex.phase = ended ? Phase.done : Phase.body;
  flushResponse(ex);
}

export function takeStreamContent(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  const { env } = ex;
  env.output.begin(0);
  ex.progressMs = env.nowMs;
  ex.responseBytes += to - from;
  writeContent(ex, bytes, from, to);
  flushResponse(ex);
}

/** END_STREAM; trailers[from, to): whole lines, which never change. */
export function endStreamResponse(
  ex: Exchange,
  trailers: Uint8Array,
  from: number,
  to: number,
): void {
  if (ex.phase === Phase.tunnel) return tunnelUpstreamEnded(ex);
  const { output } = ex.env;
  output.begin(0);
  writeEnd(ex, trailers, from, to);
  output.flush(ex.downstream!);
  ex.phase = Phase.done;
  finishAnswered(ex);
}
