/**
 * Clients of HTTP over TLS that ask without a pause, half of them on connections that they keep,
 * half on a new one each time; with the certificates that they were shown.
 */
import { Agent, request } from "node:https";
import type { TLSSocket } from "node:tls";
import { until } from "./process.ts";

export interface TlsLoadOptions {
  readonly port: number;
  /** Asked for by SNI and by Host. */
  readonly host: string;
  /** PEM. */
  readonly ca: string;
}

const CLIENTS = 4;

export class TlsLoad {
  readonly serials = new Set<string>();
  readonly #options: TlsLoadOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  readonly #failures: string[] = [];
  readonly #clients: Promise<void>[];
  #requests = 0;
  #stopping = false;

  constructor(options: TlsLoadOptions) {
    this.#options = options;
    this.#clients = Array.from({ length: CLIENTS }, (_, i) => this.#run(i % 2 === 0));
  }

  async reach(requests: number): Promise<void> {
    const wanted = this.#requests + requests;
    await until(`${requests} requests`, () => this.#requests >= wanted);
  }

  async stop(): Promise<{ readonly requests: number; readonly failures: readonly string[] }> {
    this.#stopping = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
    return { requests: this.#requests, failures: this.#failures };
  }

  async #run(keeps: boolean): Promise<void> {
    while (!this.#stopping) {
      const failure = await this.#ask(keeps);
      this.#requests++;
      if (failure !== undefined) this.#failures.push(failure);
    }
  }

  #ask(keeps: boolean): Promise<string | undefined> {
    const { port, host, ca } = this.#options;
    return new Promise((resolve) => {
      const asked = request({
        ...{ host: "127.0.0.1", port, path: "/load", servername: host, ca, headers: { host } },
        agent: keeps ? this.#agent : false,
      });
      asked.on("response", (response) => {
        const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
        this.serials.add(serialNumber);
        response.resume();
        response.on("end", () =>
          resolve(response.statusCode === 200 ? undefined : `status ${response.statusCode}`),
        );
        response.on("error", (error) => resolve(error.message));
      });
      asked.on("error", (error) => resolve(error.message));
      asked.end();
    });
  }
}
