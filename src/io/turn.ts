/**
 * Work for the end of the event loop's turn: what many events of one turn have to say to one socket
 * leaves in one write.
 */
export interface TurnUser {
  /** The turn is over. May throw nothing, and may ask for the next turn's end. */
  turnEnded(): void;
}

export class Turn {
  #users: TurnUser[] = [];
  #ending: TurnUser[] = [];
  readonly #end = (): void => {
    const users = this.#users;
    this.#users = this.#ending;
    this.#ending = users;
    for (let i = 0; i < users.length; i++) users[i]!.turnEnded();
    users.length = 0;
  };

  /** Does what waits for the end of the turn now: there may be no other turn. */
  end(): void {
    this.#end();
  }

  /** Once for each turn and user: the caller remembers that it has asked. */
  add(user: TurnUser): void {
    if (this.#users.push(user) === 1) setImmediate(this.#end);
  }
}
