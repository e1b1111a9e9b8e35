/**
 * Why an expression has no value for one exchange: an absent attribute, a value of another type
 * than declared, text that is no address. Traffic decides how often this happens, so a Fault is
 * returned like any value and never thrown; those that can be foreseen are made at compile time.
 */
export class Fault {
  constructor(readonly message: string) {}
}

/** What reading an attribute that the exchange does not have means where it is needed. */
export function lookupFailed(name: string): Fault {
  return new Fault(`lookup failed: '${name}'`);
}
