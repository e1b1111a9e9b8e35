/**
 * Copies octets between arrays without making a view: copyRange.call(source, target, at, from, to).
 *
 * Measured on Bun 1.4.5: 17 to 26 ns for 24 to 800 octets, where `set` with a `subarray` takes 47
 * to 55 and leaves an object behind, and a loop takes 0.55 an octet.
 */
export const copyRange: (
  this: Uint8Array,
  target: Uint8Array,
  targetStart: number,
  from: number,
  to: number,
) => number = Buffer.prototype.copy;
