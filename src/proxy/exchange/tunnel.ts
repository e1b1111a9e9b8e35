/**
 * Bytes both ways, after 101 or a CONNECT that succeeded. What the client sent early was held back
 * until now. FIN is passed on in either direction by itself; the end of both ends the exchange.
 */
import { Framing } from "../../http/message-head.ts";
import { After } from "./downstream-side.ts";
import { type Exchange, Phase } from "./exchange.ts";
import { finish } from "./finish.ts";
import { armTimer } from "./timing.ts";

export function beginTunnel(ex: Exchange): void {
  ex.phase = Phase.tunnel;
  ex.responseFraming = Framing.tunnel;
  ex.requestFraming = Framing.tunnel;
  ex.requestDone = false;
  ex.acceptsBody = true;
  ex.keepsAlive = false;
  ex.upstreamKeepsAlive = false;
  ex.deadlineMs = 0;
  ex.tryDeadlineMs = 0;
  armTimer(ex);
  ex.downstream!.resumeInput();
}

/** FIN from the client. */
export function tunnelDownstreamEnded(ex: Exchange): void {
  ex.requestDone = true;
  ex.acceptsBody = false;
  ex.upstream?.shutdown();
  endIfBoth(ex);
}

/** FIN from the upstream. */
export function tunnelUpstreamEnded(ex: Exchange): void {
  ex.phase = Phase.done;
  ex.downstream!.shutdown();
  endIfBoth(ex);
}

function endIfBoth(ex: Exchange): void {
  if (ex.requestDone && ex.phase === Phase.done) finish(ex, After.close);
}
