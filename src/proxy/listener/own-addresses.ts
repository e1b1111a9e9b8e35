/** Where this proxy itself listens: whatever would be sent there would come back for ever. */
import { networkInterfaces } from "node:os";

const WILDCARDS = new Set(["0.0.0.0", "::", ""]);

export class OwnAddresses {
  readonly #exact = new Set<string>();
  /** Ports that are ours at every address of this machine. */
  readonly #anywhere = new Set<number>();

  add(hostname: string, port: number): void {
    if (WILDCARDS.has(hostname)) this.#anywhere.add(port);
    else this.#exact.add(`${hostname} ${port}`);
  }

  has(address: string, port: number): boolean {
    const host = address === "localhost" ? "127.0.0.1" : address;
    if (this.#exact.has(`${host} ${port}`)) return true;
    if (!this.#anywhere.has(port)) return false;
    return WILDCARDS.has(host) || host === "::1" || host.startsWith("127.") || isLocal(host);
  }
}

function isLocal(address: string): boolean {
  return Object.values(networkInterfaces()).some((entries) =>
    entries?.some((entry) => entry.address === address),
  );
}
