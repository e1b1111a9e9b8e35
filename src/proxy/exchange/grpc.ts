/** What the proxy says of itself to a caller of gRPC (gRPC over HTTP/2, "Responses"). */
import type { Failure } from "../../core/failure.ts";
import { printable } from "../../http1/local-reply.ts";
import type { Call } from "../grpc/call.ts";
import { CallKind } from "../grpc/media-type.ts";
import { codeOfHttp } from "../grpc/status.ts";
import { EXPOSED } from "./web-response.ts";

export interface GrpcReply {
  /** Absent: a rule's status. */
  readonly failure: Failure | undefined;
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
  /** Where neither the failure nor the status tells it, as policy does. */
  readonly code?: number;
  /** What the caller is told in words; absent: the reason with its detail. */
  readonly message?: string;
}

/** The call's status: that of a rule, or of the failure. */
export function grpcCode({ failure, status, code }: GrpcReply): number {
  if (code !== undefined) return code;
  const byRule = failure === undefined || failure.http !== status;
  return byRule ? codeOfHttp(status) : failure.grpc;
}

/** The lines of a response that is trailers only. */
export function grpcReply(call: Call, reply: GrpcReply): string {
  const web = call.answer === CallKind.web ? "-web" : "-web-text";
  const isWeb = call.answer !== CallKind.grpc;
  const type = `content-type: application/grpc${isWeb ? web : ""}\r\n`;
  return `${type}${statusLines(reply)}${isWeb ? EXPOSED : ""}`;
}

/** What the caller is told in words. */
export function saidOf({ reason, detail, message }: GrpcReply): string {
  return message ?? [reason, detail].filter((part) => part !== "").join(": ");
}

/** For a head, or as trailers. */
export function statusLines(reply: GrpcReply): string {
  return [
    `grpc-status: ${grpcCode(reply)}`,
    `grpc-message: ${percentEncoded(saidOf(reply))}`,
    `x-mesh-reason: ${printable(reply.reason)}`,
    "",
  ].join("\r\n");
}

/** Everything but what is printable in ASCII, as octets of UTF-8 ("Status-Message"). */
function percentEncoded(text: string): string {
  return Array.from(new TextEncoder().encode(text), (octet) =>
    octet >= 0x20 && octet <= 0x7e && octet !== 0x25
      ? String.fromCharCode(octet)
      : `%${octet.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
}
