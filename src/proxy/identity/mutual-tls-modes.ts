/** What a workload asks of its callers' connections, by the port of its application. */
import { type MutualTls, MutualTls_Mode } from "../../api/gen/mesh/v1/access_pb.ts";

export type MutualTlsMode =
  /** Plaintext alone: TLS is the application's own. */
  | "disable"
  /** Either. */
  | "permissive"
  /** Who proves no identity is refused. */
  | "strict";

export class MutualTlsModes {
  readonly #mode: MutualTlsMode;
  readonly #ports: ReadonlyMap<number, MutualTlsMode>;

  constructor(message: MutualTls | undefined) {
    const { mode, ports } = message ?? { mode: 0, ports: {} };
    this.#mode = modeOf(mode);
    this.#ports = new Map(
      Object.entries(ports).map(([port, own]) => [
        Number(port),
        // Unset at a port: as everywhere.
        own === MutualTls_Mode.UNSPECIFIED ? this.#mode : modeOf(own),
      ]),
    );
  }

  at(port: number): MutualTlsMode {
    return this.#ports.get(port) ?? this.#mode;
  }
}

function modeOf(mode: MutualTls_Mode): MutualTlsMode {
  if (mode === MutualTls_Mode.STRICT) return "strict";
  return mode === MutualTls_Mode.DISABLE ? "disable" : "permissive";
}
