/** The end of a call of gRPC whose response had begun and cannot go on. */
import type { Failure } from "../../core/failure.ts";
import type { Call } from "../grpc/call.ts";
import { CallKind } from "../grpc/media-type.ts";
import { writeEnd } from "./downstream-writer.ts";
import { type Exchange, Phase } from "./exchange.ts";
import { statusLines } from "./grpc.ts";

/**
 * Says why in trailers, which no client takes for a success, and which it would else have to guess
 * from a reset; false: there is no place for them, so the exchange is broken off.
 */
export function endCall(ex: Exchange, call: Call, failure: Failure): boolean {
  const { env } = ex;
  const downstream = ex.downstream!;
  if (failure.http === 0 || !ex.responded || ex.phase !== Phase.body) return false;
  if (!call.answered || downstream.socket === undefined) return false;
  const { web } = call;
  const takesTrailers = downstream.stream !== undefined && call.kind === CallKind.grpc;
  const takesFrame = web?.translates === true && web.isBetween && !downstream.isFull;
  if (!takesTrailers && !takesFrame) return false;
  const detail = failure.origin === "upstream" ? ex.detail : "";
  const reply = { failure, status: failure.http, reason: failure.reason, detail };
  const lines = Buffer.from(statusLines(reply), "latin1");
  env.output.begin(0);
  writeEnd(ex, lines, 0, lines.length);
  env.output.flush(downstream);
  call.takeReply(failure.grpc);
  ex.phase = Phase.done;
  return true;
}
