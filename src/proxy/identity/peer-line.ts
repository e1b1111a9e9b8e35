/** The field line by which an application is told who called it: x-forwarded-client-cert. */
import type { TlsFacts } from "../../io/tls-facts.ts";
import { clientCertElement } from "../gateway/client-cert-element.ts";

const NAME = "x-forwarded-client-cert: ";
const CRLF = "\r\n";
const lines = new WeakMap<TlsFacts, Uint8Array>();

/** Made once for each connection; undefined: its peer has proved nothing. */
export function peerLine(tls: TlsFacts | undefined): Uint8Array | undefined {
  if (tls?.peer?.verified !== true) return undefined;
  const known = lines.get(tls);
  if (known !== undefined) return known;
  const element = Buffer.from(clientCertElement(tls.peer)).toString("latin1");
  const line = new Uint8Array(Buffer.from(`${NAME}${element}${CRLF}`, "latin1"));
  lines.set(tls, line);
  return line;
}
