/**
 * The addresses of a downstream connection as an access log writes them: text, and the piece of a
 * line that a format makes of it, once for all requests of the connection.
 */
import { Piece } from "./line-buffer.ts";

/** A format's way to write both. */
export type NamesWriter = (names: ConnectionNames) => string;

/** How the connection is secured. */
export interface ConnectionSecurity {
  /** "TLSv1.3" */
  readonly version: string;
  readonly cipher: string;
  /** What ALPN agreed on; "": nothing. */
  readonly protocol: string;
  /** What the peer has shown, and whether that is believed; undefined: nothing. */
  readonly peer?:
    | { readonly verified: boolean; readonly names: { readonly uris: readonly string[] } }
    | undefined;
}

export class ConnectionNames {
  /** "10.0.0.1:15001"; "" where it is not known. */
  readonly local: string;
  readonly remote: string;
  /** Undefined: it is plaintext. */
  readonly security: ConnectionSecurity | undefined;
  #writer: NamesWriter | undefined;
  #piece: Piece | undefined;

  constructor(local: string, remote: string, security?: ConnectionSecurity) {
    this.local = local;
    this.remote = remote;
    this.security = security;
  }

  /** Of the format that asked last; there is seldom a second one. */
  piece(writer: NamesWriter): Piece {
    if (this.#piece !== undefined && this.#writer === writer) return this.#piece;
    this.#writer = writer;
    this.#piece = new Piece(writer(this));
    return this.#piece;
  }
}

export const UNKNOWN_NAMES: ConnectionNames = new ConnectionNames("", "");
