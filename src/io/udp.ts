/**
 * Datagrams. A bound socket serves many peers; a connected one talks to one peer, whose datagrams
 * alone the kernel lets through, from a port that the kernel chose at random.
 */
import { isIPv6 } from "../http/ip-literal.ts";
import { ListenError } from "./tcp-listener.ts";

/** `bytes` are the receiver's to keep. */
export type OnDatagram = (bytes: Uint8Array, address: string, port: number) => void;

export class UdpSocket {
  readonly port: number;
  readonly #socket: Bun.udp.Socket<"uint8array">;

  constructor(socket: Bun.udp.Socket<"uint8array">) {
    this.#socket = socket;
    this.port = socket.port;
  }

  /** False: not sent, the kernel is full or the peer cannot be reached; a datagram may be lost. */
  send(bytes: Uint8Array, address: string, port: number): boolean {
    try {
      return !this.#socket.closed && this.#socket.send(bytes, port, address);
    } catch {
      return false;
    }
  }

  close(): void {
    if (!this.#socket.closed) this.#socket.close();
  }
}

/** Throws ListenError. */
export async function bindUdp(
  at: { readonly hostname: string; readonly port: number },
  onDatagram: OnDatagram,
): Promise<UdpSocket> {
  const { hostname, port } = at;
  try {
    const socket = await Bun.udpSocket({
      hostname,
      port,
      binaryType: "uint8array",
      socket: {
        data: (_socket, bytes, peerPort, address) => onDatagram(bytes, address, peerPort),
        // What a former datagram met; its sender will ask again.
        error() {},
      },
    });
    return new UdpSocket(socket);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new ListenError(code, `cannot listen on UDP ${hostname}:${port} (${code})`);
  }
}

export class ConnectedUdpSocket {
  readonly #socket: Bun.udp.ConnectedSocket<"uint8array">;

  constructor(socket: Bun.udp.ConnectedSocket<"uint8array">) {
    this.#socket = socket;
  }

  send(bytes: Uint8Array): boolean {
    try {
      return !this.#socket.closed && this.#socket.send(bytes);
    } catch {
      return false;
    }
  }

  close(): void {
    if (!this.#socket.closed) this.#socket.close();
  }
}

/**
 * Undefined: the address cannot be reached, or there are no descriptors left. `onRefused`: the peer
 * said that nobody listens there.
 */
export async function connectUdp(
  peer: { readonly address: string; readonly port: number },
  onDatagram: (bytes: Uint8Array) => void,
  onRefused: () => void,
): Promise<ConnectedUdpSocket | undefined> {
  try {
    const socket = await Bun.udpSocket({
      hostname: isIPv6(peer.address) ? "::" : "0.0.0.0",
      connect: { hostname: peer.address, port: peer.port },
      binaryType: "uint8array",
      socket: { data: (_socket, bytes) => onDatagram(bytes), error: onRefused },
    });
    return new ConnectedUdpSocket(socket);
  } catch {
    return undefined;
  }
}
