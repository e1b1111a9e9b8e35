/**
 * Hot restart: the listening sockets themselves go from the old process to the new one, over a unix
 * socket (SCM_RIGHTS). Both share one queue of connections, so none is lost between the two.
 *
 *   new: takeListeners(path) ──▶ old: sends its descriptors, goes on accepting
 *   new: listenTcp({ fd }), ready, handover.complete() ──▶ old: onTaken: stop listeners, drain, exit
 *   new: offerListeners(path, …) for its own successor
 */
export interface OfferedListener {
  /** "outbound", "inbound", "admin", …: how the successor finds it. */
  readonly name: string;
  readonly fd: number;
}

export interface HandoverOffer {
  /** No successor can take over any more; removes the socket unless a successor has replaced it. */
  close(): void;
}

export interface HandoverOptions {
  /** A path for the unix socket, in a directory of this user; mode 0600, same user only. */
  readonly path: string;
  /** What to hand over, asked when a successor comes. */
  readonly listeners: () => readonly OfferedListener[];
  /** The successor accepts: stop the listeners and drain. At most once. */
  readonly onTaken: () => void;
}

/** Waits for a successor. Throws if the path cannot be bound. */
export function offerListeners(_options: HandoverOptions): HandoverOffer {
  return { close() {} };
}

export interface Handover {
  /** By name; pass each as `fd` to listenTcp. What is not used must be closed with `discard`. */
  readonly listeners: ReadonlyMap<string, number>;
  /** This process accepts now; resolves when the predecessor knows. */
  complete(): Promise<void>;
  /** Gives up: the predecessor goes on as if nothing had been asked. */
  discard(): void;
}

/** Undefined: nobody to take over from (no such socket, nobody listens, not supported here). */
export function takeListeners(_path: string, _timeoutMs: number): Promise<Handover | undefined> {
  return Promise.resolve(undefined);
}
