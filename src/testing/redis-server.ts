/** A real redis-server on loopback that keeps nothing on disk, where it is installed. */
import { freePorts } from "./free-port.ts";

export const redisServer: string | null = Bun.which("redis-server");
/** Locally a visible skip; with CI=true the test fails. */
export const redisSkipped: boolean = redisServer === null && process.env.CI !== "true";

export interface RedisServer {
  readonly port: number;
  readonly pid: number;
  /** Returns when it is gone. */
  stop(): Promise<void>;
}

/** Returns when it answers. */
export async function startRedis(port: number = freePorts(1)[0]!): Promise<RedisServer> {
  if (redisServer === null) throw new Error("redis-server is not installed");
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", ""];
  const child = Bun.spawn([redisServer, ...options, "--appendonly", "no"], {
    cwd: "/tmp",
    stdout: "ignore",
    stderr: "ignore",
  });
  const endMs = performance.now() + 5_000;
  while (!(await answers(port))) {
    if (performance.now() > endMs) throw new Error("redis-server does not answer");
    await Bun.sleep(10);
  }
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await child.exited;
  };
  return { port, pid: child.pid, stop };
}

async function answers(port: number): Promise<boolean> {
  const client = new Bun.RedisClient(`redis://127.0.0.1:${port}`, { autoReconnect: false });
  try {
    await client.connect();
    return (await client.send("PING", [])) === "PONG";
  } catch {
    return false;
  } finally {
    client.close();
  }
}
