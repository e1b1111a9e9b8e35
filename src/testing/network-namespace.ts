/**
 * Hosts for tests: network namespaces of Linux, joined by a cable, made and taken away by the test.
 * Needs root and Debian's iproute2, iptables, nftables; where something is missing, `missing` says
 * what, and a test is skipped by it, but never where CI is set.
 */

/** Empty: everything is here. */
export const missing: string = await whatIsMissing();

/** A test of network namespaces cannot run here, and need not. */
export const skipped: boolean = missing !== "" && process.env.CI !== "true";

export interface CommandOutput {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class Host {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** Runs a command to its end. */
  async run(command: readonly string[], input = ""): Promise<CommandOutput> {
    return await run(["ip", "netns", "exec", this.name, ...command], input);
  }

  /** The same, which must succeed; its output. */
  async must(...command: readonly string[]): Promise<string> {
    return await must("ip", "netns", "exec", this.name, ...command);
  }

  /** Runs on until it is killed. */
  start(command: readonly string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    return Bun.spawn(["ip", "netns", "exec", this.name, ...command], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  /** What one connection to `address` receives until its end; empty if it cannot be made. */
  async read(address: string, port: number, user = "0"): Promise<string> {
    const script = `exec 3<>/dev/tcp/${address}/${port} && cat <&3`;
    const as = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"];
    return (await this.run([...as, "timeout", "5", "bash", "-c", script])).out.trim();
  }

  async remove(): Promise<void> {
    await run(["ip", "netns", "del", this.name]);
  }
}

export interface Cable {
  readonly near: Host;
  readonly far: Host;
  close(): Promise<void>;
}

/** Two hosts: 10.123.0.1 and fd77::1 near, 10.123.0.2 and fd77::2 far, each the other's gateway. */
export async function cable(): Promise<Cable> {
  const id = Math.random().toString(36).slice(2, 8);
  const [near, far] = [new Host(`mesh-n-${id}`), new Host(`mesh-f-${id}`)];
  for (const host of [near, far]) await must("ip", "netns", "add", host.name);
  await near.must("ip", "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", far.name);
  for (const [host, own, other] of [[near, 1, 2] as const, [far, 2, 1] as const]) {
    await host.must("ip", "link", "set", "lo", "up");
    await host.must("ip", "link", "set", "eth0", "up");
    await host.must("ip", "addr", "add", `10.123.0.${own}/24`, "dev", "eth0");
    await host.must("ip", "-6", "addr", "add", `fd77::${own}/64`, "dev", "eth0", "nodad");
    await host.must("ip", "route", "add", "default", "via", `10.123.0.${other}`);
    await host.must("ip", "-6", "route", "add", "default", "via", `fd77::${other}`);
  }
  const close = async (): Promise<void> => {
    await near.remove();
    await far.remove();
  };
  return { near, far, close };
}

async function whatIsMissing(): Promise<string> {
  if (process.platform !== "linux") return "Linux";
  if (process.getuid?.() !== 0) return "root";
  const programs = ["ip", "iptables-restore", "ip6tables-restore", "nft", "setpriv"];
  const absent = programs.filter((program) => Bun.which(program) === null);
  if (absent.length > 0) return absent.join(", ");
  const name = `mesh-try-${process.pid}`;
  if ((await run(["ip", "netns", "add", name])).code !== 0) return "network namespaces";
  await run(["ip", "netns", "del", name]);
  return "";
}

async function must(...command: readonly string[]): Promise<string> {
  const { code, out, err } = await run(command);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${err}`);
  return out;
}

async function run(command: readonly string[], input = ""): Promise<CommandOutput> {
  const child = Bun.spawn([...command], {
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}
