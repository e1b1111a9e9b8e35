/**
 * Cross-origin answers of a route (Fetch, "CORS protocol"), prepared. A request whose Origin is
 * allowed gets `allow-origin: <Origin>` and `responseFields`; a preflight (OPTIONS with Origin and
 * Access-Control-Request-Method) with an allowed Origin is answered here and not forwarded.
 */
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";
import type { StringMatcher } from "./string-matcher.ts";

export interface CorsFields {
  /** Lines for every response: allow-credentials, expose-headers, vary. */
  readonly response: Uint8Array;
  /** Lines for the answer to a preflight: allow-methods, allow-headers, max-age, credentials. */
  readonly preflight: Uint8Array;
}

export class CorsPolicy {
  readonly responseFields: Uint8Array;
  readonly preflightFields: Uint8Array;
  readonly #origins: readonly StringMatcher[];

  constructor(origins: readonly StringMatcher[], fields: CorsFields) {
    this.#origins = origins;
    this.responseFields = fields.response;
    this.preflightFields = fields.preflight;
  }

  /** The index of the Origin field if it is allowed, to be echoed; else -1. */
  allowedOrigin(head: MessageHead): number {
    const field = head.firstOf[FieldId.origin]!;
    if (field === -1) return -1;
    const [from, to] = [head.valueStart[field]!, head.valueEnd[field]!];
    for (let i = 0; i < this.#origins.length; i++)
      if (this.#origins[i]!.matches(head.bytes, from, to)) return field;
    return -1;
  }
}

/** Whether a browser asks for leave, rather than for the resource. */
export function isPreflight(head: MessageHead): boolean {
  return (
    head.method === MethodId.options &&
    head.firstOf[FieldId.origin] !== -1 &&
    head.firstOf[FieldId.accessControlRequestMethod] !== -1
  );
}
