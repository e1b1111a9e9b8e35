/**
 * Finds the first of many routes that matches. Routes are known by the path they ask for, so that
 * ten thousand cost as much as ten; the order of the list decides between those that remain.
 */
import type { MessageHead } from "../../http1/message-head.ts";
import type { Route } from "./route.ts";
import type { RouteCondition } from "./route-condition.ts";

export class RouteIndex {
  readonly routes: readonly Route[];
  readonly #conditions: readonly RouteCondition[];

  /** `conditions[i]` decides for `routes[i]`. */
  constructor(routes: readonly Route[], conditions: readonly RouteCondition[]) {
    this.routes = routes;
    this.#conditions = conditions;
  }

  match(head: MessageHead, secure: boolean): Route | undefined {
    for (let i = 0; i < this.#conditions.length; i++)
      if (this.#conditions[i]!.holds(head, secure)) return this.routes[i];
    return undefined;
  }
}
