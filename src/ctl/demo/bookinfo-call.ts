/**
 * How the demo's services call each other: by name, through the sidecar that HTTP_PROXY names, with
 * a limit in time, passing on who the user is and which trace the request belongs to.
 */

/** What a service passes on, as every instrumented application would. */
const passedOn: readonly string[] = [
  "end-user",
  "traceparent",
  "tracestate",
  "b3",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
  "x-request-id",
];

export type Answer<T> =
  | { readonly at: "ok"; readonly body: T; readonly tookMs: number }
  /** "503 circuit-breaker-open", "no answer within 3 s" */
  | { readonly at: "failed"; readonly reason: string; readonly tookMs: number };

export interface CallOptions {
  readonly timeoutMs: number;
  readonly headers: Headers;
}

export async function callService<T>(url: string, options: CallOptions): Promise<Answer<T>> {
  const startMs = performance.now();
  const tookMs = (): number => performance.now() - startMs;
  try {
    const response = await fetch(url, {
      headers: options.headers,
      signal: AbortSignal.timeout(options.timeoutMs),
    });
    if (response.ok) return { at: "ok", body: (await response.json()) as T, tookMs: tookMs() };
    await response.arrayBuffer();
    const why = response.headers.get("x-mesh-reason") ?? response.statusText.toLowerCase();
    return { at: "failed", reason: `${response.status} ${why}`.trim(), tookMs: tookMs() };
  } catch (error) {
    const timedOut = error instanceof Error && error.name === "TimeoutError";
    const reason = timedOut
      ? `no answer within ${options.timeoutMs / 1000} s`
      : "cannot be reached";
    return { at: "failed", reason, tookMs: tookMs() };
  }
}

export function headersToPassOn(incoming: Headers): Headers {
  const outgoing = new Headers({ accept: "application/json" });
  for (const name of passedOn) {
    const value = incoming.get(name);
    if (value !== null) outgoing.set(name, value);
  }
  return outgoing;
}
