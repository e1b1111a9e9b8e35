/** A server that publishes keys of an issuer of tokens, well or badly, and counts who asks. */

type Answer = string | Response | Promise<Response>;

export interface KeyServerOptions {
  readonly tls?: { readonly key: string; readonly cert: string };
  /** By path; undefined: 404. */
  readonly answer: (path: string) => Answer | undefined;
}

export class KeyServer {
  readonly #server: Bun.Server<undefined>;
  /** What was asked for, in order. */
  readonly asked: string[] = [];
  answer: KeyServerOptions["answer"];

  constructor(options: KeyServerOptions) {
    this.answer = options.answer;
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      ...(options.tls && { tls: options.tls }),
      fetch: async (request) => {
        const path = new URL(request.url).pathname;
        this.asked.push(path);
        const answer = await this.answer(path);
        if (answer === undefined) return new Response("", { status: 404 });
        return typeof answer === "string" ? new Response(answer) : answer;
      },
    });
  }

  /** "http://127.0.0.1:1234", or by "localhost" over TLS. */
  get origin(): string {
    const { port, url } = this.#server;
    return url.protocol === "https:" ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  }

  close(): void {
    void this.#server.stop(true);
  }
}
