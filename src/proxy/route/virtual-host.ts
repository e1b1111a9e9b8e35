/** The routes of one service, and the hosts that select them. */
import type { MessageHead } from "../../http/message-head.ts";
import { type ServiceName, serviceNameOf } from "../cluster/service-name.ts";
import type { Route } from "./route.ts";
import type { RouteIndex } from "./route-index.ts";

export class VirtualHost {
  readonly name: string;
  readonly domains: readonly string[];
  readonly serviceName: ServiceName;
  readonly #index: RouteIndex;

  constructor(name: string, domains: readonly string[], index: RouteIndex) {
    this.name = name;
    this.domains = domains;
    this.serviceName = serviceNameOf(name);
    this.#index = index;
  }

  /** In order of evaluation. */
  get routes(): readonly Route[] {
    return this.#index.routes;
  }

  /** The first route whose conditions all hold; `secure`: the request came with https. */
  match(head: MessageHead, secure: boolean): Route | undefined {
    return this.#index.match(head, secure);
  }
}
