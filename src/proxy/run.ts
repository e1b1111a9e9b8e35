/**
 * `mesh proxy`: the assembly of one sidecar.
 */
import type { Transport } from "@connectrpc/connect";

/** A manager inside this process, for `--standalone`. */
export interface EmbeddedManager {
  readonly transport: Transport;
  close(): Promise<void>;
}

export interface ProxyDependencies {
  /** How to reach the manager; absent: gRPC to `--manager`. */
  readonly transport?: Transport;
  /** Opens a manager over these files, for `--standalone -f`. Throws where they are unusable. */
  readonly embedManager?: (options: {
    readonly files: readonly string[];
    readonly namespace: string;
    readonly domain: string;
  }) => Promise<EmbeddedManager>;
}

/** Runs `mesh proxy` until it is stopped; returns the exit code. */
export async function runProxy(
  _argv: readonly string[],
  _dependencies: ProxyDependencies = {},
): Promise<number> {
  return 0;
}
