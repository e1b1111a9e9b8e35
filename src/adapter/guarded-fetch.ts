/**
 * One GET of a URL that stands in a rule, by somebody who may not be sent everywhere:
 *
 *   names asked for ─▶ addresses that are nobody's secret (guarded-address.ts) ─▶ one by one ─▶
 *   connected, over TLS verified ─▶ asked ─▶ 200, bounded in length and time
 *
 * The address that was looked at is the one that is called: a name cannot say something else a
 * moment later. No redirect is followed, no proxy of the environment used, no credential sent, and
 * nothing of an answer is in what is said of failures.
 */
import type { Clock } from "../core/clock.ts";
import { MethodId } from "../http/method.ts";
import { connectWords } from "../io/connect-words.ts";
import { isHostName } from "../io/host-name.ts";
import type { TcpSocket } from "../io/socket.ts";
import { type ConnectAttempt, type ConnectCause, TcpConnector } from "../io/tcp-connector.ts";
import { TimerWheel } from "../io/timer-wheel.ts";
import { ClientTls, type TrustSource } from "../io/tls-settings.ts";
import { type AddressGuard, guardedWhy } from "./guarded-address.ts";
import { HttpAnswerReader, type ReadAnswer } from "./http-answer.ts";

export type Got =
  | { readonly at: "done"; readonly body: Uint8Array }
  /** In a few words. */
  | { readonly at: "failed"; readonly why: string };

/** Whoever gets what a URL leads to. */
export interface UrlSource {
  /** Never rejects. */
  get(uri: string): Promise<Got>;
  /** Ends what is running. */
  abort(): void;
}

/** Addresses of a name. Rejects if it is unknown. */
export type LookUp = (name: string) => Promise<readonly string[]>;

export interface GuardedFetchOptions extends Partial<AddressGuard> {
  readonly clock: Clock;
  readonly bytesMax: number;
  /** For all of it. */
  readonly timeoutMs: number;
  /** Who may say who a server is, asked for each fetch. */
  readonly roots: () => TrustSource;
  /** The system's resolver unless told. */
  readonly lookUp?: LookUp;
}

/** What a URL asks for, and of whom. */
export interface UrlTarget {
  /** Lower case; an address of IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  /** As Host has it. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
}

const ADDRESSES_MAX = 8;

export class GuardedFetch implements UrlSource {
  readonly #options: GuardedFetchOptions;
  readonly #connector: TcpConnector<Fetching>;
  readonly #running = new Set<Fetching>();
  /** By "host", over TLS; for the roots that were asked for last. */
  readonly #tls = new Map<string, ClientTls>();
  #roots: TrustSource | undefined = undefined;

  constructor(options: GuardedFetchOptions) {
    this.#options = options;
    this.#connector = new TcpConnector(handlers, new TimerWheel(options.clock));
  }

  async get(uri: string): Promise<Got> {
    const target = urlTarget(uri);
    if ("why" in target) return { at: "failed", ...target };
    const { clock, timeoutMs, bytesMax } = this.#options;
    const { promise, resolve } = Promise.withResolvers<Got>();
    const fetching = new Fetching(target, bytesMax, resolve);
    this.#running.add(fetching);
    const cancel = clock.after(timeoutMs, () => fetching.fail("took too long"));
    void this.#run(fetching);
    const got = await promise;
    cancel();
    this.#running.delete(fetching);
    return got;
  }

  abort(): void {
    for (const fetching of this.#running) fetching.fail("was given up");
  }

  async #run(fetching: Fetching): Promise<void> {
    const { host, port, isSecure } = fetching.target;
    const { lookUp = lookUpBySystem, allowsLinkLocal = false, timeoutMs } = this.#options;
    const found = isLiteral(host) ? [host] : await lookUp(host).catch(() => []);
    if (found.length === 0) return fetching.fail("no such host");
    let why = "";
    const allowed = found.filter((address) => {
      const guarded = guardedWhy(address, { allowsLinkLocal });
      why ||= guarded === undefined ? "" : `${address} ${guarded}`;
      return guarded === undefined;
    });
    if (allowed.length === 0) return fetching.fail(why);
    const tls = isSecure ? { tls: this.#tlsFor(host) } : {};
    const limitMs = allowed.length === 1 ? timeoutMs : Math.ceil(timeoutMs / 2);
    const targets = allowed.slice(0, ADDRESSES_MAX);
    fetching.connectTo = () => {
      const hostname = targets.shift();
      if (hostname === undefined) return undefined;
      return this.#connector.connect({ hostname, port, ...tls }, fetching, limitMs);
    };
    fetching.next("");
  }

  #tlsFor(host: string): ClientTls {
    const roots = this.#options.roots();
    if (roots !== this.#roots) this.#tls.clear();
    this.#roots = roots;
    const name = host.replace(/\.$/, "");
    const known = this.#tls.get(name);
    if (known !== undefined) return known;
    const expected = { host: name, uris: new Set<string>() };
    const serverName = isHostName(name) ? name : "";
    const tls = new ClientTls({ serverName, expected, roots, protocols: ["http/1.1"] });
    this.#tls.set(name, tls);
    return tls;
  }
}

/** Or why nothing is asked for. */
export function urlTarget(uri: string): UrlTarget | { readonly why: string } {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const isSecure = url?.protocol === "https:";
  if (url === undefined || (!isSecure && url.protocol !== "http:")) return { why: "is no URL" };
  if (url.username !== "" || url.password !== "") return { why: "has credentials in its URL" };
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (isSecure ? 443 : 80) : Number(url.port),
    isSecure,
    authority: url.host,
    path: `${url.pathname}${url.search}`,
  };
}

/** The question, in full. */
export function getRequest({ authority, path }: UrlTarget, keeps: boolean): Uint8Array {
  return new TextEncoder().encode(
    `GET ${path} HTTP/1.1\r\nhost: ${authority}\r\nuser-agent: mesh\r\n` +
      `accept: application/json\r\naccept-encoding: identity\r\n` +
      `${keeps ? "" : "connection: close\r\n"}\r\n`,
  );
}

/** What an answer comes to. */
export function gotOf(answer: ReadAnswer, bytesMax: number): Got {
  if ("why" in answer) {
    const isLong = answer.why === "the answer is too long";
    return { at: "failed", why: isLong ? `is longer than ${bytesMax} bytes` : answer.why };
  }
  const { status, fields, body } = answer;
  if (status >= 300 && status < 400)
    return { at: "failed", why: `answered ${status}, and redirects are not followed` };
  if (status !== 200) return { at: "failed", why: `answered ${status}` };
  const coding = fields.find(([name]) => name === "content-encoding")?.[1] ?? "identity";
  if (coding.toLowerCase() !== "identity")
    return { at: "failed", why: "is compressed, which was not asked for" };
  return { at: "done", body };
}

/** From the first address to the answer. */
class Fetching {
  readonly target: UrlTarget;
  /** Undefined: there are no more addresses. */
  connectTo: () => ConnectAttempt | undefined = () => undefined;
  readonly #bytesMax: number;
  readonly #reader: HttpAnswerReader;
  readonly #tell: (got: Got) => void;
  #attempt: ConnectAttempt | undefined = undefined;
  #socket: TcpSocket<Fetching> | undefined = undefined;
  #unsent: Uint8Array;
  #isOver = false;

  constructor(target: UrlTarget, bytesMax: number, tell: (got: Got) => void) {
    this.target = target;
    this.#bytesMax = bytesMax;
    this.#reader = new HttpAnswerReader(bytesMax);
    this.#reader.begin(MethodId.get);
    this.#unsent = getRequest(target, false);
    this.#tell = tell;
  }

  /** `why` the address before came to nothing. */
  next(why: string): void {
    if (this.#isOver) return;
    this.#attempt = this.connectTo();
    if (this.#attempt === undefined) this.fail(why);
  }

  opened(socket: TcpSocket<Fetching>): void {
    this.#attempt = undefined;
    this.#socket = socket;
    this.drained();
  }

  drained(): void {
    const { length } = this.#unsent;
    if (length > 0 && this.#socket !== undefined)
      this.#unsent = this.#unsent.subarray(
        Math.max(0, this.#socket.write(this.#unsent, 0, length)),
      );
  }

  received(bytes: Uint8Array, ended: boolean): void {
    if (this.#isOver) return;
    const answer = this.#reader.read(bytes, ended);
    if (answer !== undefined) this.#end(gotOf(answer, this.#bytesMax));
  }

  fail(why: string): void {
    this.#end({ at: "failed", why });
  }

  #end(got: Got): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#attempt?.cancel();
    this.#socket?.terminate();
    this.#tell(got);
  }
}

const NO_BYTES = new Uint8Array(0);

const handlers = {
  open: (socket: TcpSocket<Fetching>) => socket.data.opened(socket),
  data: (socket: TcpSocket<Fetching>, bytes: Uint8Array) => socket.data.received(bytes, false),
  drain: (socket: TcpSocket<Fetching>) => socket.data.drained(),
  end: (socket: TcpSocket<Fetching>) => socket.data.received(NO_BYTES, true),
  close: (socket: TcpSocket<Fetching>) => socket.data.fail("connection lost"),
  connectFailed: (fetching: Fetching, cause: ConnectCause, detail: string) =>
    fetching.next(connectWords(cause, detail)),
} as const;

function isLiteral(host: string): boolean {
  return host.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(host);
}

async function lookUpBySystem(name: string): Promise<readonly string[]> {
  const answers = await Bun.dns.lookup(name, { socketType: "tcp" });
  return answers.map(({ address }) => address);
}
