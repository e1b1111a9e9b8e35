/** What an external authorizer is to its step, in whatever protocol it is asked. */
import type { HeaderChange } from "../../policy/verdict.ts";
import type { AccessPass, AccessRequest } from "./access-step.ts";

export type AuthorizerAnswer = AccessPass | AuthorizerDenial | AuthorizerFault;

/** Somebody judged, and said no. */
export interface AuthorizerDenial {
  readonly at: "denied";
  readonly status: number;
  readonly body: string;
  /** Whole lines, without those that frame content. */
  readonly lines: string;
}

/** Nobody judged, in plain words for operators. */
export interface AuthorizerFault {
  readonly at: "failed";
  readonly why: string;
}

export interface AuthorizerClient {
  /**
   * The request is read before it returns. `onAnswer` is told once, and never before that; returns
   * what ends the question unanswered.
   */
  ask(request: AccessRequest, onAnswer: (answer: AuthorizerAnswer) => void): () => void;
  close(): void;
}

/** Whether some of the content is missing; by Envoy's name, whom authorizers are written for. */
export const PARTIAL_BODY = "x-envoy-auth-partial-body";

/** Between two neighbours (RFC 9110 7.6.1), or said anew for each message. */
const notPassedOn: ReadonlySet<string> = new Set([
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"],
  ...["upgrade", "content-length", "expect", "http2-settings", "host", "date"],
]);

/** Of the fields that one answer has for one message. */
const FIELDS_MAX = 100;
const FIELD_CHARS_MAX = 32 * 1024;

/** Whether a message has room for so much. */
export function isModest(changes: readonly HeaderChange[]): boolean {
  let chars = 0;
  for (const { name, value } of changes) chars += name.length + value.length;
  return changes.length <= FIELDS_MAX && chars <= FIELD_CHARS_MAX;
}

/** Whether a field may go from one message to the other. */
export function isPassedOn(name: string): boolean {
  return !name.startsWith(":") && !notPassedOn.has(name);
}
