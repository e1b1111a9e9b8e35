/**
 * The way to a manager in another process: the Connect protocol over HTTP/1.1 by the runtime's own
 * fetch. gRPC would need node:http2, which costs an idle proxy 8 MB; what that has and this not,
 * pings, Discovery makes up for by a small call every few seconds.
 *
 * By https the manager has to prove itself: by a root that is trusted already, or, the first time,
 * by the one that the join token names. Nothing of ours is said before.
 */
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { foreignManager, MANAGER_SERVER_NAME } from "./manager-identity.ts";
import { pinnedRoot } from "./root-pin.ts";

/** Each is asked anew for each call: all of it rotates. */
export interface ManagerCredential {
  /** What we show; undefined: nothing yet. */
  readonly certificate: () => { readonly chainPem: string; readonly keyPem: string } | undefined;
  /** PEM, one each; empty: none is known yet. */
  readonly roots: () => readonly string[];
  /** As rootPinOf has it; empty: none. A new token may name another one. */
  readonly rootPin: () => string;
  /** Whose manager is meant; empty: any under the roots. */
  readonly trustDomain?: () => string;
}

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

const MESSAGE_BYTES_MAX = 64 << 20;
const BUNDLE_BYTES_MAX = 1 << 20;
const BUNDLE_MS = 10_000;
/** A proxy that the environment names may be this one; and however long it takes. */
const DIRECT = { proxy: false, timeout: false };

export interface TransportOptions {
  readonly interceptors?: Interceptor[];
  /** Of each call; none unless told. */
  readonly defaultTimeoutMs?: number;
}

export function managerTransport(
  url: string,
  credential?: ManagerCredential,
  options: TransportOptions = {},
): Transport {
  const isSecure = /^https:/i.test(url);
  const ask: Fetch = isSecure ? secureFetch(url, credential) : directFetch;
  return createTransport({
    baseUrl: url,
    httpClient: createFetchClient(Object.assign(ask, { preconnect: fetch.preconnect })),
    useBinaryFormat: true,
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: MESSAGE_BYTES_MAX,
    readMaxBytes: MESSAGE_BYTES_MAX,
    writeMaxBytes: MESSAGE_BYTES_MAX,
    interceptors: [],
    ...options,
  });
}

const directFetch: Fetch = (input, init) => fetch(input, Object.assign({ ...DIRECT }, init));

function secureFetch(url: string, credential: ManagerCredential | undefined): Fetch {
  const known = new KnownRoots(url, credential);
  /** Roots by which the manager was found to be itself; connections by these may be kept. */
  let proven = "";
  return async (input, init) => {
    const roots = await known.roots(init?.signal);
    const shown = credential?.certificate();
    const tls = {
      ca: [...roots],
      ...(shown === undefined ? {} : { cert: shown.chainPem, key: shown.keyPem }),
    };
    const key = roots.join("");
    // The runtime keeps no connection whose name a function of ours judged: so once it was judged,
    // it is by a name that nobody but the manager has.
    if (proven === key) {
      const named = { ...tls, serverName: MANAGER_SERVER_NAME };
      return await known.watch(fetch(input, Object.assign({ ...DIRECT, tls: named }, init)));
    }
    const checkServerIdentity = (_: string, certificate: { subjectaltname?: string }) => {
      const foreign = foreignManager(certificate, credential?.trustDomain?.() ?? "");
      if (foreign !== undefined) return new Error(foreign);
      const names = certificate.subjectaltname ?? "";
      if (names.split(", ").includes(`DNS:${MANAGER_SERVER_NAME}`)) proven = key;
      return undefined;
    };
    return await known.watch(
      fetch(input, Object.assign({ ...DIRECT, tls: { ...tls, checkServerIdentity } }, init)),
    );
  };
}

/**
 * What a manager may prove itself by: roots that are known already, or the one that a token names.
 * That one is asked for where no other is known, and where who answers has none of those; but not
 * by a token that was of use before: a root that was given up since does not come back by it.
 */
class KnownRoots {
  readonly #url: string;
  readonly #credential: ManagerCredential | undefined;
  #pinned: readonly string[] = [];
  #spentPin: string | undefined = undefined;
  #wantsPin = false;

  constructor(url: string, credential: ManagerCredential | undefined) {
    this.#url = url;
    this.#credential = credential;
  }

  async roots(ended: AbortSignal | null | undefined): Promise<readonly string[]> {
    const known = this.#credential?.roots() ?? [];
    if (known.length + this.#pinned.length === 0) await this.#askForPinned(ended);
    // Whoever answers now may be another one than before, and known after all.
    else if (this.#wantsPin) await this.#askForPinned(ended).catch(() => {});
    this.#wantsPin = false;
    return [...known, ...this.#pinned.filter((pem) => !known.includes(pem))];
  }

  /** Of an answer, or why there is none. */
  async watch(answer: Promise<Response>): Promise<Response> {
    try {
      const response = await answer;
      this.#spentPin ??= this.#pin();
      return response;
    } catch (thrown) {
      if (!isUntrusted(thrown)) throw thrown;
      const pin = this.#pin();
      this.#wantsPin = pin !== "" && pin !== this.#spentPin;
      const { message, code } = thrown;
      throw Object.assign(new Error(`${message}: ${NO_ROOT}`, { cause: thrown }), { code });
    }
  }

  async #askForPinned(ended: AbortSignal | null | undefined): Promise<void> {
    const pin = this.#pin();
    this.#pinned = await rootsByPin(this.#url, pin, ended);
    this.#spentPin = pin;
  }

  /** "": there is none, or it cannot be read now. */
  #pin(): string {
    try {
      return this.#credential?.rootPin() ?? "";
    } catch {
      return "";
    }
  }
}

const NO_ROOT =
  "who answers is another manager, or its authority was lost; a new join token " +
  "(mesh ctl token create) in place of the old one, or its roots in a file, say that it is meant";

/** As fetch has it of a chain that leads to no root of ours. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_SIGNATURE_FAILURE",
]);

function isUntrusted(thrown: unknown): thrown is Error & { readonly code: unknown } {
  return thrown instanceof Error && "code" in thrown && UNTRUSTED.has(String(thrown.code));
}

/** Roots are no secret, and nothing is believed of the answer but what has the right sum. */
async function rootsByPin(
  url: string,
  pin: string,
  ended: AbortSignal | null | undefined,
): Promise<readonly string[]> {
  if (pin === "")
    throw new Error("how to know the manager? by a join token of it, or by its roots in a file");
  const response = await fetch(
    `${url.replace(/\/+$/, "")}/mesh.v1.IdentityService/GetTrustBundle`,
    Object.assign(
      { ...DIRECT, tls: { rejectUnauthorized: false } },
      { method: "POST", headers: { "content-type": "application/json" }, body: "{}" },
      { signal: AbortSignal.any([AbortSignal.timeout(BUNDLE_MS), ...(ended ? [ended] : [])]) },
    ),
  );
  const root = pinnedRoot(rootsIn(await boundedText(response)), pin);
  if (root === undefined)
    throw new Error("who answers has not the root that the token names: another manager's token?");
  return [root];
}

function rootsIn(json: string): readonly string[] {
  try {
    const { rootPems }: { rootPems?: unknown } = JSON.parse(json) ?? {};
    return Array.isArray(rootPems) ? rootPems.filter((pem) => typeof pem === "string") : [];
  } catch {
    return [];
  }
}

/** Empty where it is too long. */
async function boundedText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > BUNDLE_BYTES_MAX) return "";
  }
  return text;
}
