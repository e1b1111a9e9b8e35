/** Where DNS sits in a data plane: opened once traffic flows, and only where it is wanted. */
import { addressText } from "../../api/address.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { HostPort } from "../flags.ts";
import { besideInIpv6, isWithoutIpv6 } from "../listener/both-families.ts";
import { bindFault } from "../start-fault.ts";
import type { DnsServer } from "./dns-server.ts";
import type { NameTable } from "./name-table.ts";

export interface DnsSeatParts {
  /** Undefined: it is not wanted. */
  readonly at: HostPort | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of the configuration in force. */
  readonly names: () => NameTable;
}

export class DnsSeat {
  readonly #parts: DnsSeatParts;
  #dns: DnsServer | undefined;

  constructor(parts: DnsSeatParts) {
    this.#parts = parts;
  }

  /** Another configuration is in force. */
  follow(): void {
    if (this.#dns !== undefined) this.#dns.names = this.#parts.names();
  }

  /** Answers, if that is wanted. Throws StartFault; may be tried again. */
  async open(): Promise<void> {
    const { at, clock, metrics, names } = this.#parts;
    if (at === undefined || this.#dns !== undefined) return;
    const { hostname, port } = at;
    const { DnsServer } = await import("./dns-server.ts");
    const { MachineResolvers } = await import("./machine-resolvers.ts");
    const machine = new MachineResolvers(clock);
    const own = [{ address: hostname, port }];
    const resolvers = () => machine.servers(own);
    const dns = new DnsServer({ clock, metrics, resolvers, names: names() });
    try {
      await dns.listen(at);
    } catch (thrown) {
      throw bindFault("dns", at, thrown);
    }
    await this.#openBeside(dns, hostname, own);
    // A configuration may have come in between.
    dns.names = names();
    this.#dns = dns;
  }

  close(): void {
    this.#dns?.close();
    this.#dns = undefined;
  }

  /** Where it answers; undefined: it does not. */
  get address(): string | undefined {
    const { at } = this.#parts;
    if (at === undefined || this.#dns === undefined) return undefined;
    return addressText({ ...at, port: this.#dns.port });
  }

  /** Captured questions to a resolver's IPv6 address arrive at ::1, whatever IPv4 is bound to. */
  async #openBeside(dns: DnsServer, hostname: string, own: SocketAddress[]): Promise<void> {
    if (besideInIpv6({ hostname, port: dns.port }) === undefined) return;
    const loopback = { hostname: "::1", port: dns.port };
    try {
      await dns.listen(loopback);
      own.push({ address: loopback.hostname, port: loopback.port });
    } catch (thrown) {
      if (isWithoutIpv6(thrown)) return;
      this.#parts.log.warn("no DNS over IPv6", { address: addressText(loopback) });
    }
  }
}
