/**
 * The resolvers of this machine, as /etc/resolv.conf names them now: a laptop moves between
 * networks. The file is looked at again when a few seconds have passed.
 */
import type { Clock } from "../../core/clock.ts";
import { type ResolverConfig, readResolverConfig } from "../../io/resolver-config.ts";
import type { SocketAddress } from "../../io/socket-address.ts";

const DNS_PORT = 53;
const FRESH_MS = 5_000;

export class MachineResolvers {
  readonly #clock: Clock;
  readonly #read: () => ResolverConfig;
  #readMs = Number.NEGATIVE_INFINITY;
  #servers: readonly SocketAddress[] = [];

  constructor(clock: Clock, read: () => ResolverConfig = readResolverConfig) {
    this.#clock = clock;
    this.#read = read;
  }

  /** Without `own`, at which this process answers itself: it would ask itself for ever. */
  servers(own: readonly SocketAddress[]): readonly SocketAddress[] {
    const now = this.#clock.nowMs();
    if (now - this.#readMs >= FRESH_MS) {
      this.#readMs = now;
      this.#servers = this.#read()
        .nameservers.map((address) => ({ address, port: DNS_PORT }))
        .filter(
          ({ address, port }) =>
            !own.some((each) => each.address === address && each.port === port),
        );
    }
    return this.#servers;
  }
}
