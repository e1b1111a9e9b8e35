/** Asks one after another: who comes while one is under way waits for it, and nobody else does. */
export class TurnQueue<T> {
  #last: Promise<T> | undefined = undefined;

  ask(run: () => T | Promise<T>): T | Promise<T> {
    const before = this.#last;
    const given = before === undefined ? run() : before.then(run);
    if (!(given instanceof Promise)) return given;
    this.#last = given;
    return this.#whenDone(given);
  }

  async #whenDone(given: Promise<T>): Promise<T> {
    try {
      return await given;
    } finally {
      if (this.#last === given) this.#last = undefined;
    }
  }
}
