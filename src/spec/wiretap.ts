/** Somebody in between: passes connections on to a port, and keeps every byte both ways. */
interface Ends {
  other: Bun.Socket<Ends> | undefined;
  /** Came before the other end was there. */
  early: Uint8Array[];
}

export class Wiretap {
  /** Of whoever connected. */
  readonly sent: Uint8Array[] = [];
  /** Of whoever is behind the port. */
  readonly received: Uint8Array[] = [];
  readonly #listener: Bun.TCPSocketListener<Ends>;

  constructor(target: number) {
    this.#listener = Bun.listen<Ends>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { other: undefined, early: [] };
          void this.#connect(socket, target);
        },
        data: (socket, bytes) => {
          this.sent.push(new Uint8Array(bytes));
          if (socket.data.other === undefined) socket.data.early.push(new Uint8Array(bytes));
          else socket.data.other.write(bytes);
        },
        close: (socket) => void socket.data.other?.end(),
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Whether each way is nothing but whole TLS records, and perhaps the beginning of one. */
  records(): { readonly toCallee: boolean; readonly toCaller: boolean } {
    return { toCallee: areRecords(this.sent), toCaller: areRecords(this.received) };
  }

  close(): void {
    this.#listener.stop(true);
  }

  async #connect(client: Bun.Socket<Ends>, port: number): Promise<void> {
    const other = await Bun.connect<Ends>({
      hostname: "127.0.0.1",
      port,
      data: { other: client, early: [] },
      socket: {
        data: (_, bytes) => {
          this.received.push(new Uint8Array(bytes));
          client.write(bytes);
        },
        close: () => void client.end(),
      },
    });
    client.data.other = other;
    for (const bytes of client.data.early.splice(0)) other.write(bytes);
  }
}

/** ContentType 20 to 23, version 3.x, a length that RFC 8446 5.2 allows. */
function areRecords(parts: readonly Uint8Array[]): boolean {
  const bytes = Buffer.concat(parts);
  let at = 0;
  while (at + 5 <= bytes.length) {
    const length = bytes.readUInt16BE(at + 3);
    const [type = 0, major = 0] = bytes.subarray(at, at + 2);
    if (type < 20 || type > 23 || major !== 3 || length > 16_384 + 256) return false;
    at += 5 + length;
  }
  return bytes.length > 0;
}
