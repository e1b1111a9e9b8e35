/**
 * Server-sent events: "something changed, read again", to every page that looks. A page that does
 * not read is sent nothing more until it does, and then one event that says it all. A stream ends
 * when who opened it may read no more; its browser then comes back, and is asked to log in.
 */
import type { Clock } from "../../core/clock.ts";
import type { Manager } from "../manager.ts";

const STREAMS_MAX = 100;
/** Keeps proxies on the way from closing what is quiet, and finds pages that are gone. */
const HEARTBEAT_MS = 15_000;
/** How often it is asked whether a page may still be told, where nothing is to be told. */
const LOOK_MS = 1_000;
/** How soon a browser comes back. */
const RETRY_MS = 1_000;

interface EventStream {
  /** Tells of a change, now or when the page reads again. */
  readonly change: () => void;
  readonly resume: () => void;
  /** The page is gone. */
  readonly end: () => void;
  /** It is told no more. */
  readonly finish: () => void;
}

export class EventStreams {
  readonly #manager: Manager;
  readonly #clock: Clock;
  readonly #streams = new Set<EventStream>();

  constructor(manager: Manager) {
    this.#manager = manager;
    this.#clock = manager.options.clock;
  }

  get open(): number {
    return this.#streams.size;
  }

  /** Something changed of which the manager does not know. */
  tell(): void {
    for (const { change } of this.#streams) change();
  }

  close(): void {
    for (const { finish } of [...this.#streams]) finish();
  }

  /** `mayRead`: asked from time to time, and before anything is told. */
  response(mayRead: () => boolean): Response {
    if (this.open >= STREAMS_MAX) return new Response("too many streams\n", { status: 503 });
    let stream: EventStream | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        stream = this.#start(controller, mayRead);
      },
      pull: () => stream?.resume(),
      cancel: () => stream?.end(),
    });
    return new Response(body, {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  }

  #start(
    controller: ReadableStreamDefaultController<Uint8Array>,
    mayRead: () => boolean,
  ): EventStream {
    const encoder = new TextEncoder();
    const send = (text: string): boolean => {
      if ((controller.desiredSize ?? 0) <= 0) return false;
      controller.enqueue(encoder.encode(text));
      return true;
    };
    let owed = false;
    const change = (): void => {
      if (!mayRead()) return finish();
      owed = !send(`event: change\ndata: ${this.#manager.configuration.revision}\n\n`);
    };
    const resume = (): void => {
      if (owed) change();
    };
    send(`retry: ${RETRY_MS}\n\n`);
    const stops = [
      this.#manager.onNews(change),
      this.#every(HEARTBEAT_MS, () => void send(": still here\n\n")),
      this.#every(LOOK_MS, () => {
        if (!mayRead()) finish();
      }),
    ];
    const end = (): void => {
      this.#streams.delete(stream);
      for (const stop of stops) stop();
    };
    const finish = (): void => {
      end();
      controller.close();
    };
    const stream: EventStream = { change, resume, end, finish };
    this.#streams.add(stream);
    return stream;
  }

  /** Returns what stops it, also from within. */
  #every(ms: number, run: () => void): () => void {
    let isStopped = false;
    let cancel = (): void => {};
    const wait = (): void => {
      cancel = this.#clock.after(ms, () => {
        run();
        if (!isStopped) wait();
      });
    };
    wait();
    return () => {
      isStopped = true;
      cancel();
    };
  }
}
