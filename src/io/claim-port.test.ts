/** Who may open listeners that share a port. */
import { afterEach, expect, test } from "bun:test";
import { claimPort } from "./claim-port.ts";
import type { SocketHandlers } from "./socket.ts";
import { listenTcp, type TcpListener } from "./tcp-listener.ts";

const hostname = "127.0.0.1";
const open: TcpListener[] = [];
afterEach(() => {
  for (const listener of open.splice(0)) listener.stop();
});

const handlers: SocketHandlers<undefined> = {
  open() {},
  data() {},
  drain() {},
  end() {},
  close() {},
};

function listen(port: number, reusePort: boolean): number {
  const listener = listenTcp({ hostname, port, reusePort }, handlers);
  open.push(listener);
  return listener.port;
}

test("a free port is found, and may be shared at once by several", () => {
  const port = claimPort({ hostname, port: 0 });
  expect(port).toBeGreaterThan(0);
  expect([listen(port, true), listen(port, true)]).toEqual([port, port]);
});

test.each([true, false])("a port that somebody has is refused, shared: %p", (reusePort) => {
  const port = listen(0, reusePort);
  expect(() => claimPort({ hostname, port })).toThrow("the port is taken (EADDRINUSE)");
});
