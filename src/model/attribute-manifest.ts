/** Which facts about an exchange exist, and their types. Spec table: mixer 3.1. */
import type { ValueType } from "../attribute/value.ts";
import type { Position } from "../core/problem.ts";

export interface AttributeManifest {
  readonly revision: string;
  readonly attributes: readonly AttributeDeclaration[];
}

export interface AttributeDeclaration {
  readonly name: string;
  readonly type: ValueType;
  readonly description: string;
  readonly at: Position;
}
