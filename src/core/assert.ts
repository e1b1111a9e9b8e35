/**
 * Invariants. A failed assertion is our own mistake, never a peer's: nobody catches it, it ends the
 * process. What a peer can cause is a Failure, what an operator can cause is a Problem.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the end of a switch over a closed union. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}
