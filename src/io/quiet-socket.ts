/** Connections on which nothing happens. */
import type { Socket } from "node:net";

/** Closes it once nothing came or went for so long. */
export function closeWhenQuiet(socket: Socket, ms: number): void {
  socket.setTimeout(ms, () => socket.destroy());
}
