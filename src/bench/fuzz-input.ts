/** Inputs for fuzzing HTTP/1: sound and odd parts put together, then damaged here and there. */
import type { Random } from "../core/random.ts";

const pick = <T>(random: Random, from: readonly T[]): T =>
  from[Math.floor(random() * from.length)]!;

const methods = ["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "BREW", "get", "G T", ""];
const targets = [
  ...["/", "/a/b?c=d", "/%2e%2e/a", "//a", "/a?b?c", "*", "a:443", "[::1]:80", "/#f", "/\xe9", "a"],
  ...["http://a/", "http://a", "https://A:443/x?y", "http://a?b", "http://u@a/", "ftp://a/", ""],
];
const versions = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/1.9",
  "HTTP/2.0",
  "http/1.1",
];
const statuses = ["200", "204", "304", "100", "101", "103", "404", "500", "99", "600", "2x0"];
const reasons = ["OK", "", "Not Found", "\xe9", "a\tb"];
const fields = [
  ...["Host: a", "Host: a:80", "host:", "Host: [::1]:8", "Host: b", "Host: a, b", "Host: a:99999"],
  ...["Content-Length: 0", "content-length: 3", "Content-Length: 03", "Content-Length: +3"],
  ...["Content-Length: 3, 3", "Content-Length:", "Content-Length: 9007199254740993"],
  ...["Transfer-Encoding: chunked", "transfer-encoding:\t chunked \t", "Transfer-Encoding: gzip"],
  ...["Transfer-Encoding: chunked, chunked", "Transfer-Encoding: xchunked", "TE: trailers"],
  ...["Connection: close", "Connection: keep-alive, x", "Connection: upgrade", 'Connection: "a"'],
  ...[
    "Connection: content-length, host",
    "Connection:",
    "Connection: ,,close",
    "Upgrade: websocket",
  ],
  ...["Upgrade: h2c", "Expect: 100-continue", "Expect: 1", "X: 1", "x: \xe9", "X:  a  b ", "X:"],
  ...["X : 1", " X: 1", "X_Y: 1", ": 1", "X", "X: a\rb", "X: a\0b", "X: a\x7fb", "Trailer: x"],
  ...["Keep-Alive: 5", "Proxy-Connection: close", "HTTP2-Settings: AA", "Cookie: a=b", "Date: x"],
];
const ends = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"];
const sizes = [
  "3",
  "3",
  "0",
  "5",
  "A",
  "003",
  "3;a=b",
  '3 ; a="b;\\"c"',
  "3;",
  "3 ",
  "0x3",
  "-3",
  "",
];
const trailers = ["x: y", "X-Sum: 1", "Content-Length: 3", "host: b", "x : y", " x: y", "x"];
const damage = [
  "\r",
  "\n",
  "\r\n",
  "\0",
  " ",
  "\t",
  ":",
  ",",
  ";",
  "\x7f",
  "\x80",
  "\xff",
  "0",
  "_",
];

/** Mostly sound: a fault in one part hides whatever comes after it. */
const end = (random: Random): string => (random() < 0.97 ? "\r\n" : pick(random, ends));
const usually = (random: Random, sound: string, others: readonly string[]): string =>
  random() < 0.7 ? sound : pick(random, others);

export function randomRequests(random: Random): string {
  const count = random() < 0.8 ? 1 : 2;
  return Array.from({ length: count }, () => request(random)).join("");
}

function request(random: Random): string {
  const chunked = random() < 0.4;
  const length = !chunked && random() < 0.4;
  const framing = chunked ? "Transfer-Encoding: chunked" : length ? "Content-Length: 3" : "X: 0";
  const line = [
    usually(random, "POST", methods),
    usually(random, "/a", targets),
    usually(random, "HTTP/1.1", versions),
  ].join(" ");
  const lines = [line, usually(random, "Host: a", fields), framing, ...someFields(random)];
  const head = lines.map((text) => text + end(random)).join("") + end(random);
  return damaged(random, head + (chunked ? randomChunks(random) : length ? "abc" : ""));
}

export function randomResponse(random: Random): string {
  const chunked = random() < 0.4;
  const framing = chunked
    ? "Transfer-Encoding: chunked"
    : pick(random, ["Content-Length: 3", "X: 0"]);
  const status = usually(random, "200", statuses);
  const line = `${usually(random, "HTTP/1.1", versions)} ${status} ${pick(random, reasons)}`;
  const lines = [line, framing, ...someFields(random)];
  const head = lines.map((text) => text + end(random)).join("") + end(random);
  return damaged(random, head + (chunked ? randomChunks(random) : "abc"));
}

export function randomChunks(random: Random): string {
  let text = "";
  for (let rest = Math.floor(random() * 4); rest > 0; rest--) {
    text +=
      usually(random, "3", sizes) + end(random) + usually(random, "abc", ["\r\n0", "ab", "abcd"]);
    text += end(random);
  }
  text += usually(random, "0", ["00", "0;a", "0;a=", "0 "]) + end(random);
  if (random() < 0.3) text += pick(random, trailers) + end(random);
  return text + end(random);
}

function someFields(random: Random): string[] {
  const count = Math.floor(random() ** 2 * 6);
  return Array.from({ length: count }, () => pick(random, fields));
}

/** Now and then an octet more, less or other, or a piece repeated. */
export function damaged(random: Random, text: string): string {
  let result = text;
  while (random() < 0.3) {
    const at = Math.floor(random() * (result.length + 1));
    const cut = random() < 0.5 ? 0 : Math.floor(random() * 4);
    const put =
      random() < 0.2 ? result.slice(at, at + 9) : random() < 0.7 ? pick(random, damage) : "";
    result = result.slice(0, at) + put + result.slice(at + cut);
  }
  return result;
}
