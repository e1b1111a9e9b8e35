/**
 * Hot restart: the listening sockets themselves go from the old process to the new one, over a unix
 * socket (SCM_RIGHTS). Both share one queue of connections, so none is lost between the two. With
 * SO_REUSEPORT alone, what waits in the old queue is reset when the old process closes it.
 *
 *   new: takeListeners(path) ──▶ old: sends its descriptors, goes on accepting
 *   new: listenTcp({ fd }), handover.complete() ──▶ old: onTaken: stop listeners, drain, exit
 *   new: offerListeners({ path, … }) for its own successor
 */
import { chmodSync, renameSync, rmSync, statSync } from "node:fs";
import { connectUnix, receiveMessage, sendMessage } from "./descriptor-message.ts";
import { libc } from "./libc.ts";
import { peerUser } from "./socket-options.ts";

export interface OfferedListener {
  /** "outbound", "inbound", "admin", …: how the successor finds it. */
  readonly name: string;
  readonly fd: number;
}

export interface HandoverOffer {
  /** No successor can take over any more; removes the socket unless it was taken or replaced. */
  close(): void;
}

export interface HandoverOptions {
  /** A path for the unix socket, at most 90 bytes, in a directory of this user; same user only. */
  readonly path: string;
  /** What to hand over, asked when a successor comes. */
  readonly listeners: () => readonly OfferedListener[];
  /** For the successor alone, and never written down: it goes from memory to memory. */
  readonly secret?: () => string;
  /** The successor accepts: stop the listeners and drain. At most once. */
  readonly onTaken: () => void;
}

export interface Handover {
  /** By name; pass each as `fd` to listenTcp. What is not used is closed by `complete`. */
  readonly listeners: ReadonlyMap<string, number>;
  /** Of the predecessor; "": it had none. */
  readonly secret: string;
  /** This listener is in use here. */
  use(name: string): number | undefined;
  /** This process accepts now; resolves when the predecessor knows, or has gone. */
  complete(): Promise<void>;
  /** Gives up, closing what was received: the predecessor goes on as if nothing had been asked. */
  discard(): void;
}

const TAKEN = "taken\n";
const DONE = "done\n";
const POLL_MS = 2;
/** It shares a message of 16 KiB with the names. */
const SECRET_MAX = 8_192;

/** Waits for a successor; takes over the path from a predecessor. Throws if it cannot be bound. */
export function offerListeners(options: HandoverOptions): HandoverOffer {
  const { path } = options;
  // Bound beside and renamed: there is no moment at which a successor finds nobody.
  const bound = `${path}.${process.pid}`;
  let taken = false;
  const listener = Bun.listen<{ heard: string }>({
    unix: bound,
    socket: {
      open(socket) {
        socket.data = { heard: "" };
        const own = process.getuid?.() === peerUser(fdOf(socket));
        if (taken || !own || !sendListeners(fdOf(socket), options)) socket.terminate();
      },
      data(socket, bytes) {
        socket.data.heard += bytes.toString("latin1", 0, TAKEN.length);
        if (socket.data.heard !== TAKEN) return;
        socket.end(DONE);
        if (taken) return;
        taken = true;
        options.onTaken();
      },
    },
  });
  chmodSync(bound, 0o600);
  renameSync(bound, path);
  const { ino } = statSync(path);
  return {
    close() {
      listener.stop();
      // Once taken, the name is the successor's: it may be replacing it this very moment.
      if (taken) return;
      if (statSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
    },
  };
}

/** Undefined: nobody to take over from (no such socket, nobody answers, not supported here). */
export async function takeListeners(
  path: string,
  timeoutMs: number,
): Promise<Handover | undefined> {
  const fd = connectUnix(path);
  if (fd === -1) return undefined;
  const received = peerUser(fd) === process.getuid?.() ? await receive(fd, timeoutMs) : undefined;
  const { names, secret } = decodeOffer(received?.text ?? "");
  if (received === undefined || names.length !== received.descriptors.length) {
    for (const each of [fd, ...(received?.descriptors ?? [])]) closeDescriptor(each);
    return undefined;
  }
  const listeners = new Map(names.map((name, i) => [name, received.descriptors[i]!]));
  return new TakenListeners(fd, { listeners, secret }, timeoutMs);
}

class TakenListeners implements Handover {
  readonly listeners: ReadonlyMap<string, number>;
  readonly secret: string;
  readonly #unused: Set<number>;
  readonly #timeoutMs: number;
  #fd: number;

  constructor(
    fd: number,
    { listeners, secret }: Pick<Handover, "listeners" | "secret">,
    timeoutMs: number,
  ) {
    this.#fd = fd;
    this.listeners = listeners;
    this.secret = secret;
    this.#unused = new Set(listeners.values());
    this.#timeoutMs = timeoutMs;
  }

  use(name: string): number | undefined {
    const fd = this.listeners.get(name);
    if (fd !== undefined) this.#unused.delete(fd);
    return fd;
  }

  async complete(): Promise<void> {
    for (const fd of this.#unused) closeDescriptor(fd);
    this.#unused.clear();
    if (sendMessage(this.#fd, TAKEN, [])) await receive(this.#fd, this.#timeoutMs);
    this.#close();
  }

  discard(): void {
    for (const fd of this.#unused) closeDescriptor(fd);
    this.#unused.clear();
    this.#close();
  }

  #close(): void {
    if (this.#fd !== -1) closeDescriptor(this.#fd);
    this.#fd = -1;
  }
}

function sendListeners(fd: number, options: HandoverOptions): boolean {
  const listeners = options.listeners();
  const names = listeners.map(({ name }) => name);
  const descriptors = listeners.map((each) => each.fd);
  const secret = options.secret?.() ?? "";
  const offer = { version: 1, names, ...(secret.length <= SECRET_MAX && { secret }) };
  return sendMessage(fd, `${JSON.stringify(offer)}\n`, descriptors);
}

interface Offer {
  readonly names: readonly string[];
  readonly secret: string;
}

function decodeOffer(text: string): Offer {
  try {
    const offer = JSON.parse(text) as {
      readonly names?: unknown;
      readonly secret?: unknown;
    } | null;
    const names = Array.isArray(offer?.names) ? offer.names.map(String) : [];
    return { names, secret: typeof offer?.secret === "string" ? offer.secret : "" };
  } catch {
    return { names: [], secret: "" };
  }
}

/** The next message; undefined at the time limit or the end. */
async function receive(fd: number, timeoutMs: number) {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    const received = receiveMessage(fd);
    if (received !== undefined) return received.ended ? undefined : received;
    if (performance.now() > giveUpAt) return undefined;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function closeDescriptor(fd: number): void {
  libc()?.close(fd);
}

/** Bun's types leave it out. */
function fdOf(socket: object): number {
  return "fd" in socket && typeof socket.fd === "number" ? socket.fd : -1;
}
