/** Why a connection came to nothing, in plain words for logs. */
import type { ConnectCause } from "./tcp-connector.ts";

const words: Partial<Record<ConnectCause, string>> = {
  refused: "connection refused",
  timeout: "no connection in time",
  "name-not-found": "no such host",
  unreachable: "cannot be reached",
  "tls-failed": "the TLS handshake failed",
  "tls-untrusted": "the server's certificate is not trusted",
  "tls-wrong-identity": "the server's certificate is of somebody else",
};

/** `detail`: of TLS alone; the rest says nothing that the cause does not. */
export function connectWords(cause: ConnectCause, detail: string): string {
  const known = words[cause] ?? `no connection: ${cause}`;
  return cause.startsWith("tls-") && detail !== "" ? `${known} (${detail})` : known;
}
