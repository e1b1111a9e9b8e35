/**
 * The application, once for each of its callers: behind TPROXY it is called from the caller's own
 * address, so connections of different callers cannot be shared. Of bounded size; when it is full
 * one that is idle makes room.
 */
import { isIPv4, isIPv6 } from "../../http/ip-literal.ts";
import { Endpoint } from "./endpoint.ts";
import type { RequestStats } from "./request-stats.ts";

const CALLERS_MAX = 1_024;

export interface CallerEndpointsParts {
  /** Of the application. */
  readonly address: string;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the kernel's rule that leads answers back. */
  readonly mark: number;
  readonly stats: RequestStats;
}

export class CallerEndpoints {
  readonly #parts: CallerEndpointsParts;
  readonly #byCaller = new Map<string, Endpoint>();
  readonly #isOwnFamily: (address: string) => boolean;

  constructor(parts: CallerEndpointsParts) {
    this.#parts = parts;
    this.#isOwnFamily = isIPv4(parts.address) ? isIPv4 : isIPv6(parts.address) ? isIPv6 : never;
  }

  get endpoints(): readonly Endpoint[] {
    return [...this.#byCaller.values()];
  }

  /**
   * Undefined: too many callers are being served. Callers of another family than the application's
   * address, and those on loopback, are called for from an address of this machine's choice.
   */
  find(remoteAddress: string): Endpoint | undefined {
    const plain = remoteAddress.startsWith("::ffff:") ? remoteAddress.slice(7) : remoteAddress;
    const isLoopback = plain.startsWith("127.") || plain === "::1";
    const caller = this.#isOwnFamily(plain) && !isLoopback ? plain : "";
    return this.#byCaller.get(caller) ?? this.#make(caller);
  }

  #make(caller: string): Endpoint | undefined {
    if (this.#byCaller.size >= CALLERS_MAX && !this.#forgetIdle()) return undefined;
    const { labels, mark, stats } = this.#parts;
    const from = caller === "" ? undefined : { address: caller, mark };
    const facts = { labels, workload: "", locality: "", meshTransport: false, identity: "", from };
    const endpoint = new Endpoint(this.#parts, facts, stats);
    this.#byCaller.set(caller, endpoint);
    return endpoint;
  }

  /** The one that was made first. */
  #forgetIdle(): boolean {
    for (const [caller, endpoint] of this.#byCaller) {
      if (endpoint.active > 0) continue;
      this.#byCaller.delete(caller);
      endpoint.remove();
      return true;
    }
    return false;
  }
}

function never(): boolean {
  return false;
}
