/**
 * The way to a manager in another process: the Connect protocol over HTTP/1.1 by the runtime's own
 * fetch. gRPC would need node:http2, which costs an idle proxy 8 MB; what that has and this not,
 * pings, Discovery makes up for by a small call every few seconds.
 */
import type { Transport } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";

const MESSAGE_BYTES_MAX = 64 << 20;

export function managerTransport(url: string): Transport {
  return createTransport({
    baseUrl: url,
    httpClient: createFetchClient(directFetch),
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: MESSAGE_BYTES_MAX,
    readMaxBytes: MESSAGE_BYTES_MAX,
    writeMaxBytes: MESSAGE_BYTES_MAX,
  });
}

/** Not through a proxy that the environment names, which may be this one; however long it takes. */
const directFetch = Object.assign(
  (input: string | URL | Request, init?: RequestInit): Promise<Response> =>
    fetch(input, Object.assign({ proxy: false, timeout: false }, init)),
  { preconnect: fetch.preconnect },
);
