/** Where this proxy itself listens: what it sent there would come back to it, for ever. */
import { networkInterfaces } from "node:os";

export type ListenerName = "outbound" | "inbound";

interface OwnAddress {
  readonly name: ListenerName;
  readonly hostname: string;
  readonly port: number;
}

const WILDCARDS = new Set(["0.0.0.0", "::", ""]);

export class OwnAddresses {
  readonly #addresses: OwnAddress[] = [];

  add(name: ListenerName, hostname: string, port: number): void {
    this.#addresses.push({ name, hostname, port });
  }

  remove(hostname: string, port: number): void {
    const at = this.#addresses.findIndex((own) => own.hostname === hostname && own.port === port);
    if (at !== -1) this.#addresses.splice(at, 1);
  }

  /** From outbound to inbound is no loop: the application calls itself. */
  has(from: ListenerName, address: string, port: number): boolean {
    const host = address === "localhost" ? "127.0.0.1" : address;
    return this.#addresses.some(
      (own) =>
        own.port === port &&
        (own.name === from || from === "inbound") &&
        (own.hostname === host || (WILDCARDS.has(own.hostname) && isLocal(host))),
    );
  }
}

function isLocal(host: string): boolean {
  if (WILDCARDS.has(host) || host === "::1" || host.startsWith("127.")) return true;
  return Object.values(networkInterfaces()).some((entries) =>
    entries?.some(({ address }) => address === host),
  );
}
