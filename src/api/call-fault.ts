/** How a call over gRPC ends that is not answered. */

/** The numbers of gRPC that calls of ours end with. */
export const CallStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** Thrown by whoever answers: a status of gRPC and words for the caller. */
export class CallFault extends Error {
  override readonly name = "CallFault";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
