/**
 * The connections of the paced client: as little client as there can be, so that it is never what
 * is measured. Requests are bytes made beforehand; of responses only their end and their status
 * matter. HTTP/1.1 carries one request at a time, HTTP/2 as many as are due.
 */
import type { Socket } from "bun";
import {
  Flag,
  FrameType,
  frameHeaderBytes,
  preface,
  readUint31,
  SettingId,
  windowAtStart,
  windowMax,
  writeUint32,
} from "../http2/frame.ts";

/** Told for each request how it ended, "" if well; `due` is the time that was given with it. */
export type OnEnd = (due: number, failure: string) => void;

export interface PacedConnection {
  /** False while another request cannot be sent. */
  readonly isFree: boolean;
  send(due: number): void;
  close(): void;
}

export interface Target {
  readonly port: number;
  readonly host: string;
  readonly path: string;
}

export async function openHttp1(target: Target, onEnd: OnEnd): Promise<PacedConnection> {
  const request = Buffer.from(`GET ${target.path} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`);
  const client = new Http1Connection(request, onEnd);
  client.socket = await connect(target.port, client);
  return client;
}

export async function openHttp2(target: Target, onEnd: OnEnd): Promise<PacedConnection> {
  const client = new Http2Connection(requestFrame(target), onEnd);
  client.socket = await connect(target.port, client);
  client.greet();
  return client;
}

function connect(port: number, client: { receive(bytes: Buffer): void; lost(): void }) {
  return Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, bytes) => client.receive(bytes),
      close: () => client.lost(),
    },
  });
}

class Http1Connection implements PacedConnection {
  socket: Socket<undefined> | undefined = undefined;
  isFree = true;
  readonly #request: Buffer;
  readonly #onEnd: OnEnd;
  #due = 0;
  #text = "";

  constructor(request: Buffer, onEnd: OnEnd) {
    this.#request = request;
    this.#onEnd = onEnd;
  }

  send(due: number): void {
    this.isFree = false;
    this.#due = due;
    this.socket!.write(this.#request);
  }

  receive(bytes: Buffer): void {
    this.#text += bytes.toString("latin1");
    const headEnd = this.#text.indexOf("\r\n\r\n");
    if (headEnd === -1) return;
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text);
    if (length === null) throw new Error("a response without content-length");
    if (this.#text.length < headEnd + 4 + Number(length[1])) return;
    const status = this.#text.slice(0, "HTTP/1.1 200".length);
    this.#text = "";
    this.isFree = true;
    this.#onEnd(this.#due, status === "HTTP/1.1 200" ? "" : status);
  }

  /** It stays busy for ever. */
  lost(): void {
    if (!this.isFree) this.#onEnd(this.#due, "connection closed");
    this.isFree = false;
  }

  close(): void {
    this.socket?.terminate();
  }
}

/** :status 200, the eighth row of the static table (RFC 7541 Appendix A). */
const STATUS_200 = 0x88;

class Http2Connection implements PacedConnection {
  socket: Socket<undefined> | undefined = undefined;
  isFree = true;
  readonly #request: Buffer;
  readonly #onEnd: OnEnd;
  /** By stream, of those that have not ended. */
  readonly #due = new Map<number, number>();
  /** What the header section of a stream said that was no 200. */
  readonly #refused = new Map<number, string>();
  #nextId = 1;
  #rest: Buffer = Buffer.alloc(0);

  constructor(request: Buffer, onEnd: OnEnd) {
    this.#request = request;
    this.#onEnd = onEnd;
  }

  /** A window of the connection that no run exhausts. */
  greet(): void {
    const settings = frame(
      FrameType.settings,
      0,
      Buffer.from([0, SettingId.enablePush, 0, 0, 0, 0]),
    );
    const increment = Buffer.alloc(4);
    writeUint32(increment, 0, windowMax - windowAtStart);
    const window = frame(FrameType.windowUpdate, 0, increment);
    this.socket!.write(Buffer.concat([preface, settings, window]));
  }

  send(due: number): void {
    writeUint32(this.#request, 5, this.#nextId);
    this.#due.set(this.#nextId, due);
    this.#nextId += 2;
    this.socket!.write(this.#request);
  }

  receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + frameHeaderBytes <= bytes.length) {
      const end = at + frameHeaderBytes + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.#frame(bytes.subarray(at, end));
      at = end;
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
  }

  #frame(bytes: Buffer): void {
    const [type, flags, id] = [bytes[3], bytes[4]!, readUint31(bytes, 5)];
    const isMessage = type === FrameType.headers || type === FrameType.data;
    const isEnd = isMessage && (flags & Flag.endStream) !== 0;
    if (type === FrameType.headers && !statusIs200(bytes))
      this.#refused.set(id, `no 200: ${bytes.toString("hex", frameHeaderBytes).slice(0, 16)}`);
    if (isEnd) this.#ended(id, this.#refused.get(id) ?? "");
    else if (type === FrameType.rstStream)
      this.#ended(id, `reset with ${bytes.readUInt32BE(frameHeaderBytes)}`);
    else if (type === FrameType.goaway) this.isFree = false;
    else if ((flags & Flag.ack) === 0) this.#acknowledge(type, bytes);
  }

  #acknowledge(type: number | undefined, bytes: Buffer): void {
    const content = bytes.subarray(frameHeaderBytes);
    if (type === FrameType.settings) this.socket!.write(frame(type, Flag.ack, Buffer.alloc(0)));
    else if (type === FrameType.ping) this.socket!.write(frame(type, Flag.ack, content));
  }

  #ended(id: number, failure: string): void {
    const due = this.#due.get(id);
    if (due === undefined) return;
    this.#due.delete(id);
    this.#refused.delete(id);
    this.#onEnd(due, failure);
  }

  lost(): void {
    this.isFree = false;
    for (const id of [...this.#due.keys()]) this.#ended(id, "connection closed");
  }

  close(): void {
    this.socket?.terminate();
  }
}

/** Behind changes of the table's size (RFC 7541 6.3), the first field is :status. */
function statusIs200(headers: Buffer): boolean {
  let at = frameHeaderBytes;
  while ((headers[at]! & 0xe0) === 0x20) at++;
  return headers[at] === STATUS_200;
}

/** HEADERS with fields that touch no dynamic table, so that it is the same for every stream. */
function requestFrame({ host, path }: Target): Buffer {
  const literal = (index: readonly number[], value: string): Buffer =>
    Buffer.concat([Buffer.from([...index, value.length]), Buffer.from(value)]);
  const [get, http] = [0x82, 0x86];
  const fields = [Buffer.from([get, http]), literal([4], path), literal([1], host)];
  const accept = literal([0x0f, 19 - 15], "*/*");
  const block = Buffer.concat([...fields, accept]);
  return frame(FrameType.headers, Flag.endHeaders | Flag.endStream, block);
}

/** On stream 0. */
function frame(type: number, flags: number, content: Buffer): Buffer {
  const bytes = Buffer.alloc(frameHeaderBytes + content.length);
  bytes.writeUIntBE(content.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  content.copy(bytes, frameHeaderBytes);
  return bytes;
}
