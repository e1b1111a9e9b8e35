/** The oracle's lines and chunks: every line ends in CRLF, and nothing else ends one. */

/** The text can never become a message that two readers take alike. */
export class OracleRefusal extends Error {}

/** Sound so far, and not complete. */
export class OracleWait extends Error {}

export interface Bodies {
  readonly chunked: boolean;
  readonly length: number | undefined;
}

/** One line and the offset past its CRLF. */
export function takeLine(text: string, from: number, what: string): [line: string, next: number] {
  const ends = /[\r\n\0]/g;
  ends.lastIndex = from;
  const at = ends.exec(text)?.index ?? text.length;
  if (at === text.length) throw new OracleWait(`${what} incomplete`);
  if (text[at] !== "\r") throw new OracleRefusal(`bare LF or NUL in ${what}`);
  if (at + 1 === text.length) throw new OracleWait(`${what} ends in CR`);
  if (text[at + 1] !== "\n") throw new OracleRefusal(`bare CR in ${what}`);
  return [text.slice(from, at), at + 2];
}

const word = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const quoted =
  '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*"';
const blank = "[ \\t]*";
const extension = `${blank};${blank}${word}(?:${blank}=${blank}(?:${word}|${quoted}))?`;
const sizeLine = new RegExp(`^([0-9A-Fa-f]{1,16})(?:${extension})*$`);

/** The data of all chunks and the offset of the trailer section. */
export function readChunked(text: string, from: number): { body: string; end: number } {
  let body = "";
  for (let at = from; ; ) {
    const [line, data] = takeLine(text, at, "chunk size");
    const match = sizeLine.exec(line);
    if (match === null) throw new OracleRefusal("chunk size line");
    const size = Number.parseInt(match[1]!, 16);
    if (size >= 2 ** 48) throw new OracleRefusal("chunk size too large");
    if (size === 0) return { body, end: data };
    if (data + size > text.length) throw new OracleWait("chunk data incomplete");
    body += text.slice(data, data + size);
    const end = text.slice(data + size, data + size + 2);
    if (end !== "\r\n") {
      if ("\r\n".startsWith(end)) throw new OracleWait("end of chunk data incomplete");
      throw new OracleRefusal("chunk data without CRLF");
    }
    at = data + size + 2;
  }
}
