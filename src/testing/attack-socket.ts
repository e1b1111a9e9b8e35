/**
 * The connection of an attacker: sends as fast as the kernel takes it, reads or does not, and notes
 * how the other side ended it.
 */
import { FrameType } from "../http2/frame.ts";
import { codeName } from "./http2-peer.ts";

export class AttackSocket {
  /** Set before anything is sent. */
  #reads = true;
  #socket: Bun.Socket | undefined;
  #received = Buffer.alloc(0);
  #unsent: Uint8Array | undefined;
  #onChange: () => void = () => {};
  /** HTTP/2 frames that ended something, in order: "GOAWAY ENHANCE_YOUR_CALM", "RST …"; HTTP/1.1
   * statuses: "431". Repetitions are left out. */
  readonly said: string[] = [];
  closed = false;
  readonly #isHttp2: boolean;

  private constructor(isHttp2: boolean) {
    this.#isHttp2 = isHttp2;
  }

  static async connect(port: number, version = 2): Promise<AttackSocket> {
    const attacker = new AttackSocket(version === 2);
    attacker.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, bytes) => attacker.#receive(bytes),
        drain: () => attacker.#drain(),
        close: () => attacker.#end(),
        error: () => attacker.#end(),
      },
    });
    return attacker;
  }

  set reads(reads: boolean) {
    this.#reads = reads;
    if (reads) this.#socket?.resume();
    else this.#socket?.pause();
  }

  /** Resolves when the kernel has it, or when the connection is over. */
  async send(bytes: Uint8Array): Promise<void> {
    this.#unsent = bytes;
    this.#drain();
    while (this.#unsent !== undefined && !this.closed) await this.#change();
  }

  /** Sends what `next` makes until it makes nothing, the connection is over or the time is. */
  async repeat(
    forMs: number,
    next: () => Uint8Array | undefined | Promise<Uint8Array>,
  ): Promise<void> {
    const untilMs = performance.now() + forMs;
    const timer = setTimeout(() => this.#onChange(), forMs + 1);
    while (!this.closed && performance.now() < untilMs) {
      const bytes = await next();
      if (bytes === undefined) break;
      this.#unsent = bytes;
      this.#drain();
      if (this.#unsent === undefined) await Bun.sleep(0);
      while (this.#unsent !== undefined && !this.closed && performance.now() < untilMs)
        await this.#change();
    }
    clearTimeout(timer);
  }

  /** For so long, or until the connection is over. */
  async wait(ms: number): Promise<void> {
    const untilMs = performance.now() + ms;
    const timer = setTimeout(() => this.#onChange(), ms + 1);
    while (!this.closed && performance.now() < untilMs) await this.#change();
    clearTimeout(timer);
  }

  close(): void {
    this.#socket?.terminate();
    this.#end();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = resolve;
    });
  }

  #drain(): void {
    const bytes = this.#unsent;
    if (bytes === undefined || this.#socket === undefined) return;
    const taken = this.#socket.write(bytes);
    if (taken < 0) return this.#end();
    this.#unsent = taken < bytes.length ? bytes.subarray(taken) : undefined;
    if (this.#unsent === undefined) this.#onChange();
  }

  #end(): void {
    this.closed = true;
    if (this.#reads) this.#judge();
    this.#onChange();
  }

  #receive(bytes: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    this.#judge();
  }

  #judge(): void {
    if (!this.#isHttp2) return this.#judgeHttp1();
    let at = 0;
    const bytes = this.#received;
    while (bytes.length - at >= 9) {
      const end = at + 9 + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const type = bytes[at + 3];
      if (type === FrameType.goaway) this.#note(`GOAWAY ${codeName(bytes.readUInt32BE(at + 13))}`);
      else if (type === FrameType.rstStream)
        this.#note(`RST ${codeName(bytes.readUInt32BE(at + 9))}`);
      at = end;
    }
    this.#received = bytes.subarray(at);
  }

  #judgeHttp1(): void {
    const text = this.#received.toString("latin1");
    for (const [, status] of text.matchAll(/HTTP\/1\.1 (\d{3}) /g)) this.#note(status!);
    this.#received = this.#received.subarray(Math.max(0, this.#received.length - 20));
  }

  #note(what: string): void {
    if (this.said.at(-1) !== what) this.said.push(what);
  }
}
