/**
 * TCP ports of loopback that nobody listens on now, all different, for programs that cannot be told
 * to pick one. Another process may take one in between: bind port 0 wherever that is possible.
 */
export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }),
  );
  const ports = listeners.map((listener) => listener.port);
  for (const listener of listeners) listener.stop(true);
  return ports;
}
