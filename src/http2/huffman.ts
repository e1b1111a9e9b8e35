/**
 * The Huffman code of HPACK (RFC 7541 5.2, Appendix B), decoded four bits at a time by a state
 * machine: a state is an inner node of the code's tree, and a step yields one octet at most, since
 * no code is shorter than five bits.
 */

/** Bits of the code of each octet, and of EOS; the codes follow, since they are canonical. */
// biome-ignore format: a table reads as a table
const lengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const EOS = 256;

const EMITS = 1 << 16;
const BROKEN = 1 << 17;
/** State * 16 + nibble → next state | octet << 8 | EMITS, or BROKEN. */
const steps = new Int32Array(256 * 16);
/** States in which a string may end: fewer than eight bits of padding, all of them ones. */
const mayEnd = new Uint8Array(256);
build();

/** What a string of `length` octets can decode to at most. */
export function huffmanBound(length: number): number {
  return ((length * 8) / 5) | 0;
}

export interface HuffmanTarget {
  readonly out: Uint8Array;
  /** Where the next octet goes. */
  cursor: number;
}

/**
 * Decodes [from, to) to where the target's cursor is, with room for huffmanBound octets. False:
 * EOS, or padding that is too long or not of ones (RFC 7541 5.2).
 */
export function decodeHuffman(
  bytes: Uint8Array,
  from: number,
  to: number,
  target: HuffmanTarget,
): boolean {
  const { out } = target;
  let next = target.cursor;
  let state = 0;
  for (let i = from; i < to; i++) {
    const octet = bytes[i]!;
    const high = steps[(state << 4) | (octet >> 4)]!;
    if (high >= EMITS) {
      if (high >= BROKEN) return false;
      out[next++] = high >> 8;
    }
    const low = steps[((high & 255) << 4) | (octet & 15)]!;
    if (low >= EMITS) {
      if (low >= BROKEN) return false;
      out[next++] = low >> 8;
    }
    state = low & 255;
  }
  target.cursor = next;
  return mayEnd[state] === 1;
}

/** Children of inner nodes: below 256 another inner node, from 256 on 256 + the symbol. */
function buildTree(): Int32Array {
  const children = new Int32Array(512).fill(-1);
  const order = lengths.map((_, symbol) => symbol);
  order.sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  let nodes = 1;
  let code = 0;
  let length = 0;
  for (const symbol of order) {
    code *= 2 ** (lengths[symbol]! - length);
    length = lengths[symbol]!;
    let node = 0;
    for (let bit = length - 1; bit >= 0; bit--) {
      const child = node * 2 + (Math.floor(code / 2 ** bit) & 1);
      if (bit === 0) children[child] = 256 + symbol;
      else {
        if (children[child] === -1) children[child] = nodes++;
        node = children[child]!;
      }
    }
    code++;
  }
  return children;
}

function build(): void {
  const children = buildTree();
  for (let state = 0; state < 256; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      steps[state * 16 + nibble] = stepOf(children, state, nibble);
    }
  }
  for (let node = 0, depth = 0; depth < 8; depth++) {
    mayEnd[node] = 1;
    node = children[node * 2 + 1]!;
  }
}

function stepOf(children: Int32Array, state: number, nibble: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = children[node * 2 + ((nibble >> bit) & 1)]!;
    if (child === 256 + EOS) return BROKEN;
    if (child < 256) node = child;
    else {
      emitted = EMITS | ((child - 256) << 8);
      node = 0;
    }
  }
  return emitted | node;
}
