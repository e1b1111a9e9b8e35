/**
 * What a handler is told: the fields of a template as expressions. They are text here; each knows
 * where it stands, so that what is found wrong with it later has its line and column.
 */
import type { Position } from "../core/problem.ts";

/** An expression of the policy language, not yet compiled. */
export interface ExpressionText {
  readonly source: string;
  /** Of its first character. */
  readonly at: Position;
}

/** Expressions by the names of the template's fields; maps and fields of fields nest. */
export interface InstanceFields {
  readonly [name: string]: ExpressionText | InstanceFields;
}

export interface Instance {
  /** "instance", or the template's own, as "listentry". Part of its name. */
  readonly writtenKind: string;
  readonly template: string;
  readonly templateAt: Position;
  readonly fields: InstanceFields;
  /** Where names of fields stand, by path ("subject.properties"); for those that are unknown. */
  readonly positions: Readonly<Record<string, Position>>;
  /** Of a generator: attributes ─▶ expressions of its output (`$out.name`). */
  readonly attributeBindings: Readonly<Record<string, ExpressionText>>;
}

/** A map may have a key "source" too, but never a text below it. */
export function isExpressionText(value: ExpressionText | InstanceFields): value is ExpressionText {
  return typeof value.source === "string";
}
