/** What the proxy says of itself to a caller of gRPC (gRPC over HTTP/2, "Responses"). */
import type { Failure } from "../../core/failure.ts";
import { printable } from "../../http1/local-reply.ts";

const UNKNOWN = 2;
/** What a client makes of a bare HTTP status (gRPC, "HTTP to gRPC Status Code Mapping"). */
const ofStatus: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};

export interface GrpcReply {
  /** Absent: a rule's status. */
  readonly failure: Failure | undefined;
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
}

/** The lines of a response that is trailers only. */
export function grpcReply({ failure, status, reason, detail }: GrpcReply): string {
  const byRule = failure === undefined || failure.http !== status;
  const code = byRule ? (ofStatus[status] ?? UNKNOWN) : failure.grpc;
  const said = [reason, detail].filter((part) => part !== "").join(": ");
  return [
    "content-type: application/grpc",
    `grpc-status: ${code}`,
    `grpc-message: ${percentEncoded(said)}`,
    `x-mesh-reason: ${printable(reason)}`,
    "",
  ].join("\r\n");
}

function percentEncoded(text: string): string {
  return printable(text).replaceAll("%", "%25");
}
