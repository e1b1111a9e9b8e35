/** Where daemons listen, as operators write it. */
import type { Reader } from "../dialect/schema/message.ts";
import { checkedText } from "../dialect/schema/scalar.ts";
import { isIP } from "../http/ip-literal.ts";

export interface HostPort {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** "localhost:8125", "[::1]:8125", ":8125". Undefined: none of these. */
export function parseHostPort(text: string): HostPort | undefined {
  const [, v6, name, port] = /^(?:\[([0-9a-f:.]+)\]|([^:/\s[\]]*)):(\d{1,5})$/i.exec(text) ?? [];
  if (port === undefined || Number(port) < 1 || Number(port) > 65_535) return undefined;
  if (v6 !== undefined && !isIP(v6)) return undefined;
  return { host: v6 ?? (name || "localhost"), port: Number(port) };
}

export const hostPort: Reader<HostPort> = (place) => {
  const written = checkedText((value) =>
    parseHostPort(value) === undefined ? "is no host:port" : undefined,
  )(place);
  return written === undefined ? undefined : parseHostPort(written);
};
