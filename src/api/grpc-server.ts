/**
 * Unary calls over HTTP/2 for a server that is asked once for each request of a mesh: gRPC is
 * answered here, on our own codec, at a tenth of what node:http2 takes; Connect and gRPC-Web go to
 * the handlers of the library.
 *
 *   socket ─▶ Session ─▶ IncomingCall ─┬─ application/grpc[+proto] ─▶ UnaryMethod
 *                                      └─ anything else ─▶ LibraryHandlers
 *
 * What a caller may make us hold is bounded: octets of a message, calls of a connection, octets of
 * all calls together.
 */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Clock } from "../core/clock.ts";
import { MessageHead } from "../http/message-head.ts";
import { HeadArena } from "../http2/head-arena.ts";
import { HeadBlockWriter } from "../http2/head-block-writer.ts";
import { defaultSessionLimits, type SessionLimits } from "../http2/session-limits.ts";
import { Turn } from "../io/turn.ts";
import { CallFault, CallStatus } from "./call-fault.ts";
import { framed, unframe } from "./grpc-text.ts";
import { LibraryHandlers } from "./library-call.ts";
import { type CallMetadata, pathOf, type UnaryMethod } from "./unary-method.ts";

/** An answer in octets. */
export type Answer =
  | { readonly ok: true; readonly bytes: Uint8Array; readonly headers: string }
  | { readonly ok: false; readonly code: number; readonly message: string };

export interface GrpcServerOptions {
  readonly clock: Clock;
  readonly methods: readonly UnaryMethod[];
  readonly messageBytesMax: number;
  /** Of all calls that are not answered yet. */
  readonly heldBytesMax: number;
  readonly callsMax: number;
}

/** What all connections of a server share. */
export class GrpcServer {
  readonly options: GrpcServerOptions;
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  /** For what is not gRPC. */
  readonly library: LibraryHandlers;
  readonly limits: SessionLimits;
  readonly turn = new Turn();
  readonly head = new MessageHead();
  readonly arena = new HeadArena();
  readonly blocks = new HeadBlockWriter();
  heldBytes = 0;

  constructor(options: GrpcServerOptions) {
    this.options = options;
    this.methods = new Map(options.methods.map((method) => [pathOf(method), method]));
    this.library = new LibraryHandlers(options.methods, options.messageBytesMax);
    const connectionWindowBytes = 4 * 1024 * 1024;
    this.limits = { ...defaultSessionLimits, streamsMax: options.callsMax, connectionWindowBytes };
  }

  /** Never rejects. */
  async answer(method: UnaryMethod, body: Uint8Array, call: CallMetadata): Promise<Answer> {
    const part = unframe(body);
    if (!part.ok)
      return part.why === "compressed"
        ? refusal(CallStatus.unimplemented, "compressed messages are not understood")
        : refusal(CallStatus.internal, "a unary call carries one message");
    let message: MessageShape<DescMessage>;
    try {
      message = fromBinary(method.desc.input, part.message);
    } catch {
      return refusal(CallStatus.internal, "the message cannot be decoded");
    }
    let headers = "";
    const metadata: CallMetadata = {
      header: (name) => call.header(name),
      setHeader: (name, value) => {
        headers += `${name}: ${value}\r\n`;
      },
    };
    try {
      const answer = await method.handle(message, metadata);
      return { ok: true, bytes: framed(method.desc.output, answer), headers };
    } catch (thrown) {
      if (thrown instanceof CallFault) return refusal(thrown.code, thrown.message);
      throw thrown;
    }
  }
}

export function refusal(code: number, message: string): Answer {
  return { ok: false, code, message };
}
