/** What keeps a proxy from starting though its flags are right: one line on stderr, code 1. */
import type { HostPort } from "./flags.ts";

export class StartFault extends Error {
  override readonly name = "StartFault";
}

/** Binds, or says which flag to change. */
export function bindOr<T>(flag: string, at: HostPort, bind: () => T): T {
  try {
    return bind();
  } catch (thrown) {
    throw bindFault(flag, at, thrown);
  }
}

/** What to tell about an address that could not be bound. */
export function bindFault(flag: string, at: HostPort, thrown: unknown): StartFault {
  return new StartFault(
    `${addressOf(at)} ${bindReason(thrown)}: choose another with --${flag} (port 0 picks one)`,
  );
}

/** "127.0.0.1:15001", "[::1]:15001" */
export function addressOf({ hostname, port }: HostPort): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** "is taken" */
export function bindReason(thrown: unknown): string {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return "is taken";
    case "EACCES":
      return "may not be bound by this user";
    case "EPERM":
      return "cannot take what TPROXY hands over without CAP_NET_ADMIN";
    case "EADDRNOTAVAIL":
      return "is no address of this host";
    default:
      return `cannot be bound (${thrown instanceof Error ? thrown.message : String(thrown)})`;
  }
}
