/**
 * Original destination ─▶ what serves it: for captured connections, asked once a connection. For
 * TCP it is the only word about where a connection goes; an HTTP request's Host comes before it.
 *
 *   240.240.3.4:9080 ─▶ the virtual host of reviews:9080
 */
import type { SocketAddress } from "../../io/socket-address.ts";
import type { CapturedService } from "./captured-service.ts";

export interface Destination<T> {
  /** "reviews.default.svc.cluster.local:9080" */
  readonly name: string;
  readonly virtualHost: T;
}

export class DestinationTable<T> {
  readonly #byAddress = new Map<string, Map<number, Destination<T>>>();

  /** `virtualHosts`: as the configuration's, compiled. The first service at an address keeps it. */
  constructor(services: readonly CapturedService[], virtualHosts: readonly T[]) {
    for (const { host, addresses, ports } of services)
      for (const address of addresses) {
        const byPort = this.#byAddress.get(address) ?? new Map<number, Destination<T>>();
        this.#byAddress.set(address, byPort);
        for (const { port, virtualHost: index } of ports) {
          const virtualHost = virtualHosts[index];
          if (virtualHost === undefined || byPort.has(port)) continue;
          byPort.set(port, { name: `${host}:${port}`, virtualHost });
        }
      }
  }

  /** Undefined: nothing of the mesh is there. */
  find({ address, port }: SocketAddress): Destination<T> | undefined {
    return this.#byAddress.get(address)?.get(port);
  }

  /** Whether an address is a service's, whatever the port: nobody else can be meant by it. */
  knows(address: string): boolean {
    return this.#byAddress.has(address);
  }
}
