/**
 * Opens a connection inside of the one that is shared with a sidecar of ours. Where the peer turns
 * out to know nothing of that, the connection is an ordinary one.
 */
import type { ConnectAttempt, ConnectCause } from "../../io/tcp-connector.ts";
import { MeshSocket } from "../transport/mesh-socket.ts";
import type { UpstreamConnection } from "./connection.ts";
import type { SessionPool } from "./session-pool.ts";
import type { SessionConnection, SessionWaiter } from "./upstream-stream.ts";

export class MeshDial implements ConnectAttempt, SessionWaiter {
  readonly #pool: SessionPool;
  readonly #connection: UpstreamConnection;
  /** Connects without the transport. */
  readonly #fallBack: (connection: UpstreamConnection) => void;
  #settled = false;

  constructor(
    pool: SessionPool,
    connection: UpstreamConnection,
    fallBack: (connection: UpstreamConnection) => void,
  ) {
    this.#pool = pool;
    this.#connection = connection;
    this.#fallBack = fallBack;
  }

  start(timeoutMs: number): this {
    this.#pool.wait(this, timeoutMs);
    return this;
  }

  cancel(): void {
    this.#settled = true;
    this.#pool.giveUp(this);
  }

  sessionReady(shared: SessionConnection): void {
    if (this.#settled) return;
    this.#settled = true;
    if (!shared.takesMesh) return this.#fallBack(this.#connection);
    const stream = shared.session.open(undefined as never);
    if (stream === undefined) return this.#connection.failed("failed", "");
    const socket = new MeshSocket(this.#connection, stream, shared);
    socket.onReleased = () => shared.streamReleased();
    stream.user = socket;
    shared.opened++;
    const { blocks, meshRequest } = shared.context;
    if (blocks.begin(stream)) {
      blocks.request(meshRequest, undefined, undefined);
      blocks.fields(meshRequest);
      blocks.end(false);
      shared.touch();
    }
    this.#connection.opened(socket);
  }

  sessionFailed(cause: ConnectCause, detail: string): void {
    if (this.#settled) return;
    this.#settled = true;
    if (cause === "protocol") this.#fallBack(this.#connection);
    else this.#connection.failed(cause, detail);
  }
}
