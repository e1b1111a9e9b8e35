/**
 * Where keys of tokens come from: by mutual TLS from a service of the mesh, where `http://` names
 * one, and else from wherever the URL leads (adapter/guarded-fetch.ts).
 *
 * What was a service of the mesh once is not looked for elsewhere when its last endpoint is gone:
 * keys that somebody else gives in its place would let everybody in.
 */
import {
  type Got,
  GuardedFetch,
  type GuardedFetchOptions,
  getRequest,
  gotOf,
  type UrlSource,
  type UrlTarget,
  urlTarget,
} from "../../adapter/guarded-fetch.ts";
import { MethodId } from "../../http/method.ts";
import { AskedService, type AskedServiceParts } from "./asked-service.ts";
import { HttpAsker } from "./http-asker.ts";

export class MeshKeyFetch implements UrlSource {
  readonly #direct: GuardedFetch;
  readonly #options: GuardedFetchOptions;
  readonly #parts: AskedServiceParts;
  /** Those that were services of the mesh, by host and port. */
  readonly #askers = new Map<string, HttpAsker>();
  readonly #running = new Set<() => void>();

  constructor(options: GuardedFetchOptions, parts: AskedServiceParts) {
    this.#direct = new GuardedFetch(options);
    this.#options = options;
    this.#parts = parts;
  }

  async get(uri: string): Promise<Got> {
    // What is being published is in force then.
    await Promise.resolve();
    const target = urlTarget(uri);
    const asker = "why" in target || target.isSecure ? undefined : this.#askerFor(target);
    return asker === undefined ? this.#direct.get(uri) : this.#ask(asker, target as UrlTarget);
  }

  abort(): void {
    this.#direct.abort();
    for (const cancel of this.#running) cancel();
    for (const asker of this.#askers.values()) asker.close();
    this.#askers.clear();
  }

  /** Undefined: it is no service of the mesh. Names from outside are for others to look at. */
  #askerFor({ host, port }: UrlTarget): HttpAsker | undefined {
    const name = `${host}:${port}`;
    const known = this.#askers.get(name);
    if (known !== undefined) return known;
    const cluster = this.#parts.services?.find(host, port);
    if (cluster?.settings.discovery !== "endpoints") return undefined;
    const { clock, timeoutMs, bytesMax: bodyBytesMax } = this.#options;
    const place = { service: cluster.serviceName.host, port, protocol: "http/1.1" } as const;
    const service = new AskedService(place, this.#parts);
    const asker = new HttpAsker({ clock, timeoutMs, service, bodyBytesMax });
    this.#askers.set(name, asker);
    return asker;
  }

  #ask(asker: HttpAsker, target: UrlTarget): Promise<Got> {
    const { promise, resolve } = Promise.withResolvers<Got>();
    const { bytesMax } = this.#options;
    const cancelAsking = asker.ask({
      octets: getRequest(target, true),
      method: MethodId.get,
      onAnswer: (answer) => {
        this.#running.delete(cancel);
        resolve(gotOf(answer, bytesMax));
      },
    });
    const cancel = (): void => {
      cancelAsking();
      this.#running.delete(cancel);
      resolve({ at: "failed", why: "was given up" });
    };
    this.#running.add(cancel);
    return promise;
  }
}
