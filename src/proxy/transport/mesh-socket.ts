/**
 * A connection inside a connection: the mesh's transport between its own sidecars. Many HTTP/1.1
 * connections (or raw TCP ones) share one HTTP/2 session, each as the tunnel of a CONNECT, and with
 * it reads and writes. What is inside stays as it was, to the letters of its header names.
 *
 * Offered by a private SETTINGS parameter and never spoken to a peer that has not sent it.
 */
import type { Failure } from "../../core/failure.ts";
import { equalsWord } from "../../http/connection-option.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";
import type { Session } from "../../http2/session.ts";
import { StreamSocket } from "./stream-socket.ts";
import type { StreamUser } from "./stream-user.ts";

/** SETTINGS identifier of the offer; its value is the version spoken. */
export const MESH_SETTING = 0xf3e5;
export const MESH_VERSION = 1;
/**
 * Type of the frame that says on stream 0 for whom all streams of a connection are, to a peer that
 * sent the offer; of those for experiments. Its payload is the claim, in ASCII.
 */
export const MESH_CLAIM_FRAME = 0xf3;
/** Connections that a sidecar takes inside of one. */
export const MESH_STREAMS = 1_000;
/** What the CONNECT of a mesh connection asks for: the service behind the peer. */
const AUTHORITY = new TextEncoder().encode("mesh.invalid:1");
/** Whether a request asks for a connection inside of its own, from a peer that may. */
export function isMeshRequest(session: Session<StreamUser>, head: MessageHead): boolean {
  if (head.method !== MethodId.connect || session.peer.valueOf(MESH_SETTING) === undefined)
    return false;
  const { bytes, authorityStart: from, authorityEnd: to } = head;
  return equalsWord(bytes, from, to, AUTHORITY);
}

/** Who has the connection, told as by a socket's handlers. */
export interface MeshSocketUser {
  data(bytes: Uint8Array, from: number, to: number): void;
  /** Whether what was received is still to be used; without it, it is taken to be. */
  holds?(bytes: Uint8Array): boolean;
  drained(): void;
  /** FIN. */
  ended(): void;
  closed(reset: boolean): void;
}

export class MeshSocket<C extends MeshSocketUser> extends StreamSocket<C> implements StreamUser {
  /** Its stream counts no more. */
  onReleased: (() => void) | undefined = undefined;
  #paused = false;
  /** Arrived while paused; the windows bound it. */
  #held: Uint8Array | undefined = undefined;
  #endHeld = false;
  /** Both ways are over, or were broken off. */
  #closing = false;
  #closed = false;
  #reset = false;

  override write(bytes: Uint8Array, offset: number, length: number): number {
    return this.#closing ? -1 : super.write(bytes, offset, length);
  }

  override pause(): void {
    this.#paused = true;
  }

  override resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      this.dataArrived(held, 0, held.length);
    }
    if (this.#endHeld && !this.#paused) {
      this.#endHeld = false;
      this.messageEnded();
    }
  }

  override shutdown(): void {
    if (this.#closing) return;
    super.shutdown();
    if (this.stream.remoteEnded && !this.#endHeld) this.#close(false);
  }

  override end(): void {
    if (this.#closing) return;
    super.shutdown();
    this.#close(false);
  }

  override terminate(): void {
    if (this.#closing) return;
    super.terminate();
    this.#close(true);
  }

  dataArrived(bytes: Uint8Array, from: number, to: number): void {
    if (this.#closing) return;
    if (this.#paused) {
      const arrived = bytes.subarray(from, to);
      // Copied: the window bounds this, and not what was received in one piece with it.
      this.#held = Buffer.concat(this.#held === undefined ? [arrived] : [this.#held, arrived]);
      return;
    }
    this.stream.consumed(to - from);
    this.data.data(bytes, from, to);
    const user = this.data;
    if (user?.holds === undefined || user.holds(bytes)) this.connection.keeps = true;
    this.connection.touch();
  }

  messageEnded(): void {
    if (this.#closing) return;
    if (this.#paused) {
      this.#endHeld = true;
      return;
    }
    this.data.ended();
    if (this.stream.localEnded) this.#close(false);
  }

  streamReset(_failure: Failure): void {
    if (!this.#closing) this.#close(true);
  }

  writable(): void {
    if (!this.#closing) this.data.drained();
  }

  headArrived(): void {}

  interimArrived(): void {}

  trailersArrived(): void {}

  /** The close is told when whoever asked for it has returned, as sockets do. */
  turnEnded(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.data.closed(this.#reset);
  }

  #close(reset: boolean): void {
    this.#closing = true;
    this.#reset = reset;
    this.#held = undefined;
    this.stream.release();
    this.connection.touch();
    this.onReleased?.();
    this.connection.context.turn.add(this);
  }
}
