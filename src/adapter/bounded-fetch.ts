/** HTTP requests to backends that are neither trusted to be quick nor to be brief. */
import type { Clock } from "../core/clock.ts";
import type { TrustSource } from "../io/tls-settings.ts";

export type Fetched<Body = string> =
  | { readonly at: "done"; readonly status: number; readonly body: Body }
  /** In a few words; status 0: no answer. `retryAfterMs`: it named a time; else 0. */
  | {
      readonly at: "failed";
      readonly status: number;
      readonly why: string;
      readonly retryAfterMs?: number;
    };

export interface FetchLimits {
  readonly bytesMax: number;
  /** For all of it. */
  readonly timeoutMs: number;
  /** Who may say who a server is, asked for each fetch; the runtime's own unless told. */
  readonly roots?: () => TrustSource;
}

export interface Post {
  readonly type: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

export class BoundedFetch {
  readonly #clock: Clock;
  readonly #limits: FetchLimits;
  readonly #running = new Set<AbortController>();

  constructor(clock: Clock, limits: FetchLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** A status other than 2xx is a failure. Never rejects. */
  async text(url: string, post?: Post): Promise<Fetched> {
    const fetched = await this.bytes(url, post);
    return fetched.at === "done"
      ? { ...fetched, body: new TextDecoder().decode(fetched.body) }
      : fetched;
  }

  async bytes(url: string, post?: Post): Promise<Fetched<Uint8Array>> {
    const controller = new AbortController();
    this.#running.add(controller);
    const cancel = this.#clock.after(this.#limits.timeoutMs, () => controller.abort());
    try {
      const { signal } = controller;
      const ca = url.startsWith("https:") ? this.#limits.roots?.().trust?.pem : undefined;
      const response = await fetch(url, {
        signal,
        ...(ca !== undefined && { tls: { ca } }),
        ...(post && {
          method: "POST",
          body: post.body,
          headers: { "content-type": post.type, ...post.headers },
        }),
      });
      const { status } = response;
      if (!response.ok) {
        controller.abort();
        const seconds = Number(response.headers.get("retry-after") ?? "0");
        const retryAfterMs = seconds > 0 ? seconds * 1_000 : 0;
        return { at: "failed", status, why: `answered ${status}`, retryAfterMs };
      }
      const body = await this.#read(response);
      if (body !== undefined) return { at: "done", status, body };
      controller.abort();
      return { at: "failed", status, why: `is longer than ${this.#limits.bytesMax} bytes` };
    } catch (cause) {
      const late = controller.signal.aborted;
      const why = late ? "took too long" : cause instanceof Error ? cause.message : String(cause);
      return { at: "failed", status: 0, why: why.slice(0, 200) };
    } finally {
      cancel();
      this.#running.delete(controller);
    }
  }

  /** Ends what is running. */
  abort(): void {
    for (const controller of this.#running) controller.abort();
  }

  async #read(response: Response): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of response.body ?? []) {
      length += part.length;
      if (length > this.#limits.bytesMax) return undefined;
      parts.push(part);
    }
    return Buffer.concat(parts);
  }
}
