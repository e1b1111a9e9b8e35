/** Why a call to the manager ended, in an operator's words. */
import { Code, ConnectError } from "@connectrpc/connect";

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ConnectionRefused: "connection refused",
  ECONNRESET: "connection lost",
  ConnectionClosed: "connection lost",
  ENOTFOUND: "no such host",
  FailedToOpenSocket: "cannot be reached",
};

export function callFault(thrown: unknown): string {
  const error = ConnectError.from(thrown);
  const cause = error.cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const words = WORDS[code] ?? error.rawMessage;
  return error.code === Code.Unknown || error.code === Code.Canceled ? words : error.message;
}

/** It is there, and does not want this caller: to come back will not help by itself. */
export function isRefusal(thrown: unknown): boolean {
  const { code } = ConnectError.from(thrown);
  return (
    code === Code.Unauthenticated || code === Code.PermissionDenied || code === Code.InvalidArgument
  );
}
