/**
 * One plain GET by node:http, for admin ports: unlike fetch it never goes through the HTTP_PROXY
 * that a sidecar sets for its application.
 */
import { get } from "node:http";

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface GetOptions {
  readonly timeoutMs: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Rejects where nothing answers in time. */
export function httpGet(url: string, options: GetOptions): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { connection: "close", ...options.headers };
    const { timeoutMs } = options;
    const request = get(url, { headers, agent: false, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString("utf8"),
        }),
      );
    });
    request.on("error", reject);
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
  });
}
