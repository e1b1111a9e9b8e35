/**
 * IP addresses and blocks of them, compared as four words. An IPv4 address is its mapped form
 * (RFC 4291 2.5.5.2), so that both kinds share one order.
 */
const MAPPED_BITS = 96;
const MAPPED_WORD = 0xffff;

/** Scratch for one address at a time: parsing allocates nothing. */
export class AddressWords {
  readonly words = new Uint32Array(4);
  readonly #groups = new Uint16Array(8);

  /** False: the text is no address; "::ffff:10.0.0.1" and the like are. */
  parse(text: string): boolean {
    const { words } = this;
    if (text.indexOf(":") === -1) {
      const value = ipv4At(text, 0);
      if (value < 0) return false;
      words[0] = 0;
      words[1] = 0;
      words[2] = MAPPED_WORD;
      words[3] = value;
      return true;
    }
    if (!this.#parseGroups(text)) return false;
    for (let i = 0; i < 4; i++) words[i] = (this.#groups[2 * i]! << 16) | this.#groups[2 * i + 1]!;
    return true;
  }

  /** Groups of hexadecimal digits, "::" once, dotted quads at the end. */
  #parseGroups(text: string): boolean {
    const groups = this.#groups;
    let count = 0;
    let gap = -1;
    let at = 0;
    if (text.charCodeAt(0) === COLON && text.charCodeAt(1) === COLON) {
      gap = 0;
      at = 2;
    }
    while (at < text.length) {
      if (count === 8) return false;
      const end = groupEnd(text, at);
      if (text.charCodeAt(end) === DOT) {
        const value = count <= 6 ? ipv4At(text, at) : -1;
        if (value < 0) return false;
        groups[count++] = value >>> 16;
        groups[count++] = value & 0xffff;
        break;
      }
      if (end === at || end - at > 4) return false;
      groups[count++] = hexAt(text, at, end);
      at = end;
      if (at === text.length) break;
      if (text.charCodeAt(at) !== COLON || at + 1 === text.length) return false;
      at++;
      if (text.charCodeAt(at) === COLON) {
        if (gap !== -1) return false;
        gap = count;
        at++;
      }
    }
    if (gap === -1) return count === 8;
    if (count > 7) return false;
    groups.copyWithin(8 - (count - gap), gap, count);
    groups.fill(0, gap, 8 - (count - gap));
    return true;
  }
}

const COLON = 0x3a;
const DOT = 0x2e;
const ZERO = 0x30;

/** The number that four decimal octets from there to the end are; −1: they are none. */
function ipv4At(text: string, from: number): number {
  let value = 0;
  let octet = -1;
  let octets = 0;
  for (let at = from; at <= text.length; at++) {
    const code = at === text.length ? DOT : text.charCodeAt(at);
    if (code === DOT) {
      if (octet < 0 || octets === 4) return -1;
      value = value * 256 + octet;
      octets++;
      octet = -1;
    } else {
      const digit = code - ZERO;
      // No leading zero: some read it as octal.
      if (digit < 0 || digit > 9 || octet === 0) return -1;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return -1;
    }
  }
  return octets === 4 ? value : -1;
}

function groupEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && hexValue(text.charCodeAt(at)) >= 0) at++;
  return at;
}

function hexAt(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) value = value * 16 + hexValue(text.charCodeAt(at));
  return value;
}

function hexValue(code: number): number {
  if (code >= ZERO && code <= ZERO + 9) return code - ZERO;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

export class AddressBlock {
  /** 0..128; of an IPv4 block with the 96 bits of its mapped form. */
  readonly prefixBits: number;
  readonly #words: readonly number[];
  readonly #masks: readonly number[];

  /** "10.0.0.0/8", "2001:db8::/32", or one address. Undefined: it is none of them. */
  static parse(text: string): AddressBlock | undefined {
    const slash = text.indexOf("/");
    const address = new AddressWords();
    if (!address.parse(slash === -1 ? text : text.slice(0, slash))) return undefined;
    const four = !text.includes(":");
    const length = slash === -1 ? (four ? 32 : 128) : lengthOf(text.slice(slash + 1));
    if (length > (four ? 32 : 128)) return undefined;
    return new AddressBlock(address, length + (four ? MAPPED_BITS : 0));
  }

  private constructor({ words }: AddressWords, prefixBits: number) {
    this.prefixBits = prefixBits;
    this.#masks = Array.from({ length: 4 }, (_, i) => maskOf(prefixBits - 32 * i));
    this.#words = this.#masks.map((mask, i) => (words[i]! & mask) >>> 0);
  }

  /** An address alone. */
  get isOne(): boolean {
    return this.prefixBits === 128;
  }

  /** Of one address: the word that tells most of them apart. */
  get lastWord(): number {
    return this.#words[3]!;
  }

  has({ words }: AddressWords): boolean {
    for (let i = 0; i < 4; i++)
      if ((words[i]! & this.#masks[i]!) >>> 0 !== this.#words[i]) return false;
    return true;
  }

  /** Equal for equal blocks, however they were written. */
  get key(): string {
    return `${this.#words.join(".")}/${this.prefixBits}`;
  }
}

function lengthOf(text: string): number {
  return /^\d{1,3}$/.test(text) ? Number(text) : 1_000;
}

/** Of one word, with as many leading ones. */
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffff_ffff : (0xffff_ffff << (32 - bits)) >>> 0;
}
