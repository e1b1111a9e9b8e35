/** Where a request goes on to: its rewritten target, or the Location of a redirect. */
import type { MessageHead } from "../../http1/message-head.ts";
import type { Redirect, Rewrite } from "./route.ts";

/** Path and query as the upstream gets them: writes to `out`, returns the length, -1: too long. */
export function writeTarget(_rewrite: Rewrite, _head: MessageHead, _out: Uint8Array): number {
  return -1;
}

/** The value of Location: writes to `out`, returns the length, -1: too long. */
export function writeLocation(
  _redirect: Redirect,
  _head: MessageHead,
  _secure: boolean,
  _out: Uint8Array,
): number {
  return -1;
}
