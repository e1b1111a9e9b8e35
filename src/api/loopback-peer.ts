/**
 * Whose process is at the other end of each connection of a plaintext port, asked once when it is
 * accepted: a connection does not change hands, and later its process may have gone.
 */
import { fstatSync } from "node:fs";
import type { Socket } from "node:net";
import { socketOwner } from "../io/socket-owner.ts";
import { addressText } from "./address.ts";
import type { Peer } from "./peer.ts";

/** A connection as node's servers show it with a request: perhaps not the object accepted. */
interface Ends {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
}

const UNKNOWN: Peer = { at: "plaintext", address: "", uid: undefined };

export class LoopbackPeers {
  readonly #peers = new Map<string, Peer>();

  add(socket: Socket): void {
    const key = keyOf(socket);
    this.#peers.set(key, peerOf(socket));
    socket.on("close", () => this.#peers.delete(key));
  }

  /** Unknown where it was not added, or is closed. */
  of(seen: Ends | undefined): Peer {
    return (seen === undefined ? undefined : this.#peers.get(keyOf(seen))) ?? UNKNOWN;
  }
}

function peerOf(socket: Socket): Peer {
  const { remoteAddress = "", remotePort = 0, localAddress = "", localPort = 0 } = socket;
  const far = { address: remoteAddress, port: remotePort };
  const near = { address: localAddress, port: localPort };
  const inode = inodeOf(socket);
  return {
    at: "plaintext",
    address: addressText({ hostname: remoteAddress, port: remotePort }),
    uid: inode === 0 ? undefined : socketOwner({ near, far, inode }),
  };
}

/** 0: unknown. */
function inodeOf(socket: Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
  const descriptor = handle?.fd ?? -1;
  if (descriptor < 0) return 0;
  try {
    return fstatSync(descriptor).ino;
  } catch {
    return 0;
  }
}

function keyOf({ remoteAddress, remotePort, localAddress }: Ends): string {
  return `${localAddress}|${remoteAddress}|${remotePort}`;
}
