/**
 * Server-sent events: "something changed, read again", to every page that looks. A page that does
 * not read is sent nothing more until it does, and then one event that says it all.
 */
import type { Clock } from "../../core/clock.ts";
import type { Manager } from "../manager.ts";

const STREAMS_MAX = 100;
/** Keeps proxies on the way from closing what is quiet, and finds pages that are gone. */
const HEARTBEAT_MS = 15_000;
/** How soon a browser comes back. */
const RETRY_MS = 1_000;

export class EventStreams {
  readonly #manager: Manager;
  readonly #clock: Clock;
  readonly #streams = new Set<() => void>();

  constructor(manager: Manager) {
    this.#manager = manager;
    this.#clock = manager.options.clock;
  }

  get open(): number {
    return this.#streams.size;
  }

  /** Something changed of which the manager does not know. */
  tell(): void {
    for (const change of this.#streams) change();
  }

  response(): Response {
    if (this.open >= STREAMS_MAX) return new Response("too many streams\n", { status: 503 });
    let stream: { readonly resume: () => void; readonly end: () => void } | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        stream = this.#start(controller);
      },
      pull: () => stream?.resume(),
      cancel: () => stream?.end(),
    });
    return new Response(body, {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  }

  #start(controller: ReadableStreamDefaultController<Uint8Array>) {
    const encoder = new TextEncoder();
    const send = (text: string): boolean => {
      if ((controller.desiredSize ?? 0) <= 0) return false;
      controller.enqueue(encoder.encode(text));
      return true;
    };
    let owed = false;
    const change = (): void => {
      owed = !send(`event: change\ndata: ${this.#manager.configuration.revision}\n\n`);
    };
    send(`retry: ${RETRY_MS}\n\n`);
    this.#streams.add(change);
    const stopNews = this.#manager.onNews(change);
    let cancelBeat = (): void => {};
    const beat = (): void => {
      cancelBeat = this.#clock.after(HEARTBEAT_MS, () => {
        send(": still here\n\n");
        beat();
      });
    };
    beat();
    return {
      resume: () => {
        if (owed) change();
      },
      end: () => {
        this.#streams.delete(change);
        stopNews();
        cancelBeat();
      },
    };
  }
}
