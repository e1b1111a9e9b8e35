/**
 * For listeners that share a port (SO_REUSEPORT): the kernel lets any process of this user join
 * them, and two proxies that were given the same port by mistake would each get a part of the
 * traffic. So before the first one is opened the port is bound alone, and given up again.
 */
import type { SocketHandlers } from "./socket.ts";
import { type ListenOptions, listenTcp } from "./tcp-listener.ts";

const nobody: SocketHandlers<undefined> = {
  open: (socket) => socket.terminate(),
  data() {},
  drain() {},
  end() {},
  close() {},
};

/** The port: `port`, or a free one where that is 0. Throws ListenError: somebody has it. */
export function claimPort(at: Pick<ListenOptions, "hostname" | "port" | "ipv6Only">): number {
  const { hostname, port: wanted, ipv6Only = false } = at;
  const listener = listenTcp({ hostname, port: wanted, ipv6Only }, nobody);
  const { port } = listener;
  listener.stop();
  return port;
}
