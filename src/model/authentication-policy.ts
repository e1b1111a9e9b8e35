/** Policy and MeshPolicy of authentication.istio.io, which security.istio.io replaced. */
import type { JwtRule } from "./request-authentication.ts";

export interface AuthenticationPolicy {
  /** None: all of its namespace; of a MeshPolicy, all of the mesh. */
  readonly targets: readonly {
    /** Of a service in its namespace. */
    readonly name: string;
    /** Empty: all. */
    readonly ports: readonly number[];
  }[];
  /** Whether callers may or have to speak mutual TLS; never neither, since we take it anyway. */
  readonly mode: "PERMISSIVE" | "STRICT";
  readonly rules: readonly JwtRule[];
  /** Requests without a token are refused. */
  readonly needsToken: boolean;
}
