/**
 * Connections that come from another host's address, as if that host had made them: what a proxy
 * behind TPROXY calls its application with. The mark leads the answers, which are addressed to that
 * host, back to this machine (a rule and a table of routes: mesh ctl iptables -m TPROXY). Needs
 * CAP_NET_ADMIN.
 */
import { libc } from "./libc.ts";
import { encodeSocketAddress } from "./socket-address.ts";
import { setBindsAddressOnly, setMark, setTransparent } from "./socket-options.ts";

export interface ForeignSource {
  readonly address: string;
  readonly mark: number;
}

/** Of a socket that is to connect; its port is chosen then. False: the system does not let us. */
export function bindForeignSource(fd: number, { address, mark }: ForeignSource): boolean {
  const bytes = encodeSocketAddress(address, 0);
  if (bytes === undefined || !setTransparent(fd) || !setMark(fd, mark)) return false;
  setBindsAddressOnly(fd);
  return libc()?.bind(fd, bytes, bytes.length) === 0;
}
