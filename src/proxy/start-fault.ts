/** What keeps a proxy from starting though its flags are right: one line on stderr, code 1. */
import { addressText } from "../api/address.ts";
import { bindReason } from "../io/bind-reason.ts";
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
    `${addressText(at)} ${bindReason(thrown)}: choose another with --${flag} (port 0 picks one)`,
  );
}
