/**
 * A TCP port that nobody listens on now, for programs that cannot be told to pick one. Another
 * process may take it in between: bind port 0 wherever that is possible.
 */
export function freePort(hostname = "127.0.0.1"): number {
  const listener = Bun.listen({ hostname, port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
