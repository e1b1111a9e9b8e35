/** A DNS resolver for tests, on a port of loopback, by UDP and TCP; it says what it is told to. */
import { frame, StreamFrames } from "../proxy/dns/stream-frame.ts";

/** Undefined: silence. */
export type Reply = (
  question: Uint8Array,
  by: "udp" | "tcp",
) => Uint8Array | readonly Uint8Array[] | undefined;

export class FakeResolver {
  reply: Reply;
  readonly asked: {
    readonly by: "udp" | "tcp";
    readonly bytes: Uint8Array;
    readonly port: number;
  }[] = [];
  #udp: Bun.udp.Socket<"uint8array"> | undefined;
  #tcp: { stop(force?: boolean): void } | undefined;

  constructor(reply: Reply) {
    this.reply = reply;
  }

  /** On a port that is free for both. */
  async start(): Promise<this> {
    for (;;) {
      this.#udp = await this.#bindUdp();
      try {
        this.#tcp = this.#listenTcp();
        return this;
      } catch {
        this.#udp.close();
      }
    }
  }

  #bindUdp() {
    return Bun.udpSocket({
      hostname: "127.0.0.1",
      binaryType: "uint8array",
      socket: {
        data: (socket, bytes, port, address) => {
          this.asked.push({ by: "udp", bytes, port });
          for (const answer of this.#answers(bytes, "udp")) socket.send(answer, port, address);
        },
      },
    });
  }

  #listenTcp() {
    return Bun.listen<StreamFrames>({
      hostname: "127.0.0.1",
      port: this.port,
      socket: {
        binaryType: "uint8array",
        open: (socket) => {
          socket.data = new StreamFrames(65_535);
        },
        data: (socket, bytes) => {
          for (const message of socket.data.push(bytes) ?? []) {
            this.asked.push({ by: "tcp", bytes: message, port: socket.remotePort });
            for (const answer of this.#answers(message, "tcp")) socket.write(frame(answer));
          }
        },
      },
    });
  }

  get port(): number {
    return this.#udp?.port ?? 0;
  }

  get address() {
    return { address: "127.0.0.1", port: this.port };
  }

  close(): void {
    this.#udp?.close();
    this.#tcp?.stop(true);
  }

  #answers(question: Uint8Array, by: "udp" | "tcp"): readonly Uint8Array[] {
    const reply = this.reply(question, by);
    if (reply === undefined) return [];
    return reply instanceof Uint8Array ? [reply] : reply;
  }
}
