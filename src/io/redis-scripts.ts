/**
 * Lua scripts that a Redis server runs for us, over one connection that carries any number of
 * requests at once.
 *
 *   connecting ──▶ connected ──lost, or an answer is late──▶ waiting ──backoff──▶ connecting
 *
 * A request while connecting waits for it, within its time; while waiting it fails at once, so that
 * a server that is away costs its callers no time.
 */
import { backoffMs } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

export interface RedisScript {
  readonly text: string;
  /** By which the server knows it: SHA-1, in hexadecimal. */
  readonly digest: string;
}

/** An answer of the server is a value of its types; nothing of it is checked here. */
export type RedisReply =
  | { readonly at: "answered"; readonly value: unknown }
  | { readonly at: "failed"; readonly why: string };

export interface RedisOptions {
  /** redis://user:password@host:port/database; rediss: with TLS. */
  readonly url: string;
  /** For one answer, and for connecting. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** For a person: what happened to the connection. */
  readonly onChange: (what: "connected" | "lost", why: string) => void;
}

const PENDING_MAX = 10_000;
const BACKOFF_MS = { least: 100, most: 10_000 };

export function redisScript(text: string): RedisScript {
  return { text, digest: new Bun.CryptoHasher("sha1").update(text).digest("hex") };
}

type State =
  | { readonly at: "connecting"; readonly connected: Promise<boolean> }
  | { readonly at: "connected" }
  | { readonly at: "waiting"; readonly cancel: () => void }
  | { readonly at: "closed" };

export class RedisScripts {
  readonly #options: RedisOptions;
  readonly #client: Bun.RedisClient;
  #state: State;
  #pending = 0;
  #attempts = 0;

  /** Connects at once. */
  constructor(options: RedisOptions) {
    this.#options = options;
    this.#client = new Bun.RedisClient(options.url, {
      connectionTimeout: options.timeoutMs,
      autoReconnect: false,
      enableOfflineQueue: false,
    });
    this.#client.onclose = (error) => this.#lost(error.message);
    this.#state = this.#connect();
  }

  /** Never rejects. */
  async run(
    script: RedisScript,
    keys: readonly string[],
    parameters: readonly string[],
  ): Promise<RedisReply> {
    if (this.#pending >= PENDING_MAX) return failed("too many requests wait for Redis");
    const { clock, timeoutMs } = this.#options;
    this.#pending++;
    const { promise: late, resolve } = Promise.withResolvers<RedisReply>();
    const cancel = clock.after(timeoutMs, () => {
      resolve(failed("Redis took too long"));
      // What hangs is not asked again: all that wait for it are told, and it is connected anew.
      if (this.#state.at === "connected") this.#client.close();
    });
    const reply = await Promise.race([this.#ask(script, keys, parameters), late]);
    cancel();
    this.#pending--;
    return reply;
  }

  close(): void {
    if (this.#state.at === "closed") return;
    if (this.#state.at === "waiting") this.#state.cancel();
    this.#state = { at: "closed" };
    this.#client.close();
  }

  async #ask(
    script: RedisScript,
    keys: readonly string[],
    parameters: readonly string[],
  ): Promise<RedisReply> {
    if (this.#state.at === "connecting") await this.#state.connected;
    if (this.#state.at !== "connected") return failed("Redis is not connected");
    const rest = [String(keys.length), ...keys, ...parameters];
    try {
      return {
        at: "answered",
        value: await this.#client.send("EVALSHA", [script.digest, ...rest]),
      };
    } catch (error) {
      if (!messageOf(error).startsWith("NOSCRIPT")) return failed(messageOf(error));
    }
    try {
      return { at: "answered", value: await this.#client.send("EVAL", [script.text, ...rest]) };
    } catch (error) {
      return failed(messageOf(error));
    }
  }

  #connect(): State {
    const connected = this.#client.connect().then(
      () => {
        if (this.#state.at === "connecting") {
          this.#state = { at: "connected" };
          this.#attempts = 0;
          this.#options.onChange("connected", "");
        }
        return true;
      },
      (error: unknown) => {
        this.#lost(messageOf(error));
        return false;
      },
    );
    return { at: "connecting", connected };
  }

  #lost(why: string): void {
    if (this.#state.at === "closed" || this.#state.at === "waiting") return;
    const { clock, random, onChange } = this.#options;
    const waitMs = backoffMs(this.#attempts++, BACKOFF_MS.least, BACKOFF_MS.most, random);
    const cancel = clock.after(waitMs, () => {
      this.#state = this.#connect();
    });
    this.#state = { at: "waiting", cancel };
    onChange("lost", why);
  }
}

function failed(why: string): RedisReply {
  return { at: "failed", why: why.slice(0, 200) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
