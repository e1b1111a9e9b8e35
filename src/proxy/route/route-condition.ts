/** All conditions of one route on a request head, decided on its bytes. */
import type { MessageHead } from "../../http1/message-head.ts";
import type { StringMatcher } from "./string-matcher.ts";

export interface NamedCondition {
  /** Lower case. */
  readonly name: Uint8Array;
  readonly value: StringMatcher;
  readonly invert: boolean;
}

export interface RouteConditionParts {
  readonly path: StringMatcher | undefined;
  readonly method: StringMatcher | undefined;
  readonly scheme: StringMatcher | undefined;
  readonly authority: StringMatcher | undefined;
  readonly fields: readonly NamedCondition[];
  readonly parameters: readonly NamedCondition[];
}

export class RouteCondition {
  readonly parts: RouteConditionParts;

  constructor(parts: RouteConditionParts) {
    this.parts = parts;
  }

  holds(head: MessageHead, _secure: boolean): boolean {
    const { path } = this.parts;
    return path === undefined || path.matches(head.bytes, head.pathStart, head.pathEnd);
  }
}
