/** For `bun run fuzz`: headers of the PROXY protocol and first bytes of connections, damaged. */
import type { Random } from "../core/random.ts";
import { decodeProxyHeader, encodeProxyV1, encodeProxyV2 } from "../proxy/tcp/proxy-protocol.ts";
import { sniff } from "../proxy/tcp/sniff.ts";
import { latin1, octets } from "../testing/http1-stream.ts";
import { damaged, randomRequests } from "./fuzz-input.ts";

const addresses = ["192.0.2.1", "10.0.0.1", "::1", "2001:db8::2", "host"];

export function randomProxyHeader(random: Random): string {
  const end = () => ({
    address: addresses[Math.floor(random() * addresses.length)]!,
    port: Math.floor(random() * 65_536),
  });
  const tlvs = Array.from({ length: Math.floor(random() * 4) }, () => ({
    type: Math.floor(random() * 40),
    value: new Uint8Array(Math.floor(random() * 9)),
  }));
  const header = random() < 0.4 ? encodeProxyV1(end(), end()) : encodeProxyV2(end(), end(), tlvs);
  return damaged(random, latin1(header, 0, header.length));
}

export function randomOpening(random: Random): string {
  if (random() < 0.5) return randomRequests(random);
  if (random() < 0.5) return randomProxyHeader(random);
  const openings = [
    "\x16\x03\x01\x00\x80\x01\x00",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\0\0\0\x08",
  ];
  return damaged(random, openings[Math.floor(random() * openings.length)]!);
}

/** Never a header from less than all of it, nor another from more; what is bad stays so. */
export function judgeProxyHeader(text: string): string | undefined {
  const bytes = octets(text);
  const whole = decodeProxyHeader(bytes);
  const length = whole.at === "header" ? whole.length : 0;
  if (length > bytes.length) return "takes more than there is";
  let settled = false;
  for (let to = 0; to <= bytes.length; to++) {
    const part = decodeProxyHeader(bytes.subarray(0, to));
    if (part.at === "incomplete" && settled) return `incomplete again at ${to}`;
    if (part.at !== "incomplete" && !Bun.deepEquals(part, whole)) return `${part.at} at ${to}`;
    if (part.at === "header" && to < length) return `a header from ${to} of ${length}`;
    settled = part.at !== "incomplete";
  }
  return undefined;
}

/** More bytes never change an answer. */
export function judgeOpening(text: string): string | undefined {
  const bytes = octets(text);
  let answer: string | undefined;
  for (let to = 0; to <= bytes.length; to++) {
    const next = sniff(bytes.subarray(0, to));
    if (answer !== undefined && next !== answer) return `${answer}, then ${next} at ${to}`;
    answer = next;
  }
  return undefined;
}
