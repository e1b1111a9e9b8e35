/** What a proxy says of itself, at its admin port. */
import { CtlError, EXIT, usageError } from "./command.ts";
import { httpGet } from "./http-get.ts";

const TIMEOUT_MS = 3_000;

/** `address`: HOST:PORT or a URL. */
export async function askAdmin(address: string, path: string): Promise<string> {
  const base = /^https?:\/\//.test(address) ? address : `http://${address}`;
  if (!URL.canParse(base)) throw usageError(`${JSON.stringify(address)} is not HOST:PORT`);
  try {
    const { status, body } = await httpGet(`${base}${path}`, { timeoutMs: TIMEOUT_MS });
    if (status === 200) return body;
    throw new CtlError(`the admin port at ${address} answered ${status} to ${path}`);
  } catch (error) {
    if (error instanceof CtlError) throw error;
    throw new CtlError(
      `no proxy answers at ${address}`,
      EXIT.unreachable,
      "the admin port is loopback only: ask on the proxy's own host",
    );
  }
}
