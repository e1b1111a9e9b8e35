/**
 * Work that costs much for the octets that it is made of, and that a peer may ask for: whoever has
 * had its share in a turn of the event loop goes on in a later one. One user is served in each
 * turn, in the order in which they asked, so that everybody else waits for one share, not for all.
 */
export interface LaneUser {
  /** Its turn: it may do one share, and ask again. May throw nothing. */
  served(): void;
}

export class SlowLane {
  readonly #users: LaneUser[] = [];
  readonly #serve = (): void => {
    const user = this.#users.shift()!;
    if (this.#users.length > 0) setImmediate(this.#serve);
    user.served();
  };

  /** Once for each share: the caller remembers that it has asked. */
  add(user: LaneUser): void {
    if (this.#users.push(user) === 1) setImmediate(this.#serve);
  }
}
