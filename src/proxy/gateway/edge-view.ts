/** A gateway's listener as its connections see it: by name, in whatever snapshot is in force. */
import type { EdgeListener } from "../snapshot/edge-listener.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";

export class EdgeView {
  readonly name: string;
  #snapshot: Snapshot | undefined = undefined;
  #edge: EdgeListener | undefined = undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** Undefined: that configuration has no such listener any more. Looked up once for each. */
  in(snapshot: Snapshot): EdgeListener | undefined {
    if (this.#snapshot !== snapshot) {
      this.#snapshot = snapshot;
      this.#edge = snapshot.edges.find(({ facts }) => facts.name === this.name);
    }
    return this.#edge;
  }
}
