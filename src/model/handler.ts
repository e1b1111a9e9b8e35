/** Who answers the questions of rules: an adapter with its parameters. Spec table: mixer 3.1. */
import type { Position } from "../core/problem.ts";

/** Who decides when nobody can judge: a handler that fails, a fact that is missing. */
export type FailPolicy = "open" | "closed";

/** Parameters of an adapter: only it can read them. */
export interface Parameters {
  /** A JSON object. */
  readonly json: string;
  /** Where its parts stand, by path: "quotas[0].maxAmount"; "" is the whole. */
  readonly positions: Readonly<Record<string, Position>>;
}

/** How an adapter outside of this executable is reached. */
export interface HandlerConnection {
  /** host:port, or a URL. */
  readonly address: string;
  /** 0: the default. */
  readonly timeoutMs: number;
}

export interface Handler {
  /** The kind that was written: "handler", or the adapter's own, as "denier". Part of its name. */
  readonly writtenKind: string;
  readonly adapter: string;
  readonly adapterAt: Position;
  readonly parameters: Parameters;
  readonly connection?: HandlerConnection;
  /** For one answer of what has to be asked over a network. Undefined: the default. */
  readonly timeoutMs?: number;
  /** Undefined: as each rule says. */
  readonly failPolicy?: FailPolicy;
}
