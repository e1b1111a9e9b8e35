/** Ports for the demo: the usual one if it is free, else one that the system picks. */
import { createServer } from "node:net";

/** `preferred` 0: any. The port is free now; whoever needs it should take it soon. */
export async function pickPort(preferred: number): Promise<number> {
  if (preferred !== 0) {
    const port = await tryListen(preferred);
    if (port !== undefined) return port;
  }
  const port = await tryListen(0);
  if (port === undefined) throw new Error("this machine has no free port");
  return port;
}

/** Different ones, since all are held until the last is known. */
export async function pickPorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)));
  const ports = servers.map((server) => portOf(server));
  await Promise.all(servers.map((server) => close(server)));
  return ports;
}

async function tryListen(port: number): Promise<number | undefined> {
  try {
    const server = await listen(port);
    const taken = portOf(server);
    await close(server);
    return taken;
  } catch {
    return undefined;
  }
}

type Server = ReturnType<typeof createServer>;

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
