/**
 * A stream as a socket: bytes are DATA, FIN is END_STREAM, a reset is RST_STREAM. Everything that
 * writes to sockets, under a bound and in order, writes to streams without knowing.
 */
import { ErrorCode } from "../../http2/error-code.ts";
import type { Stream } from "../../http2/stream.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { Http2Connection } from "./http2-connection.ts";
import type { StreamUser } from "./stream-user.ts";

export class StreamSocket<C> implements TcpSocket<C> {
  data: C;
  readonly stream: Stream<StreamUser>;
  readonly connection: Http2Connection;
  /** Whole lines to end with, once everything before has left. */
  trailers: Uint8Array | undefined = undefined;

  constructor(data: C, stream: Stream<StreamUser>, connection: Http2Connection) {
    this.data = data;
    this.stream = stream;
    this.connection = connection;
  }

  get fd(): number {
    return this.connection.socket?.fd ?? -1;
  }

  get remoteAddress(): string {
    return this.connection.socket?.remoteAddress ?? "";
  }

  get remotePort(): number {
    return this.connection.socket?.remotePort ?? 0;
  }

  get localAddress(): string {
    return this.connection.socket?.localAddress ?? "";
  }

  get localPort(): number {
    return this.connection.socket?.localPort ?? 0;
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    const taken = this.stream.write(bytes, offset, length);
    this.connection.touch();
    return taken;
  }

  /** Whoever reads from a stream says what it has consumed; that is what holds the peer back. */
  pause(): void {}

  resume(): void {}

  shutdown(): void {
    const { trailers, stream } = this;
    if (trailers === undefined) stream.end();
    else stream.trailers(trailers, 0, trailers.length);
    this.connection.touch();
  }

  end(): void {
    this.shutdown();
  }

  terminate(): void {
    this.stream.reset(ErrorCode.internalError);
    this.connection.touch();
  }
}
