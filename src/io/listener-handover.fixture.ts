/**
 * A server of one line per connection, as a process of its own: it takes its listener over from a
 * predecessor if there is one, and exits when a successor has taken it and all answers are sent.
 */
import { offerListeners, takeListeners } from "./listener-handover.ts";
import { listenTcp, type TcpListener } from "./tcp-listener.ts";

export const FIXTURE: string = import.meta.path;

class Server {
  readonly #path: string;
  readonly #answer: Buffer;
  #open = 0;
  #draining = false;

  constructor(path: string, name: string) {
    this.#path = path;
    this.#answer = Buffer.from(`${name}\n`);
  }

  async start(port: number): Promise<void> {
    const taken = await takeListeners(this.#path, 5_000);
    const fd = taken?.use("main");
    const listener = this.#listen(port, fd);
    await taken?.complete();
    const offer = offerListeners({
      path: this.#path,
      listeners: () => [{ name: "main", fd: listener.fd }],
      onTaken: () => {
        listener.stop();
        offer.close();
        this.#draining = true;
        this.#exitWhenDrained();
      },
    });
    console.log(`${listener.port}`);
  }

  #listen(port: number, fd: number | undefined): TcpListener {
    const options = { hostname: "127.0.0.1", port, reusePort: true };
    return listenTcp<undefined>(fd === undefined ? options : { ...options, fd }, {
      open: () => {
        this.#open++;
      },
      data: (socket) => {
        socket.write(this.#answer, 0, this.#answer.length);
        socket.end();
      },
      drain() {},
      end: (socket) => socket.end(),
      close: () => {
        this.#open--;
        this.#exitWhenDrained();
      },
    });
  }

  #exitWhenDrained(): void {
    if (this.#draining && this.#open === 0) setImmediate(() => this.#open === 0 && process.exit(0));
  }
}

if (import.meta.main) {
  const [path = "", port = "0", name = ""] = process.argv.slice(2);
  await new Server(path, name).start(Number(port));
}
