/**
 * Names and places of declared objects as messages. Whatever stands in an object stands in its
 * file, so that the file travels once.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  Declaration,
  DeclarationSchema,
  ExpressionText as ExpressionMessage,
  ExpressionTextSchema,
  FilePlace,
  NamedPlace,
} from "../api/gen/mesh/v1/policy_pb.ts";
import type { Position } from "../core/problem.ts";
import type { ExpressionText } from "../model/instance.ts";
import type { Declared } from "../model/policy-set.ts";

export type PlaceInit = Pick<Position, "line" | "column">;

export function placeToMessage({ line, column }: Position): PlaceInit {
  return { line, column };
}

export function placesToMessage(positions: Readonly<Record<string, Position>>) {
  return Object.entries(positions).map(([name, at]) => ({ name, at: placeToMessage(at) }));
}

export function expressionToMessage({
  source,
  at,
}: ExpressionText): MessageInitShape<typeof ExpressionTextSchema> {
  return { source, at: placeToMessage(at) };
}

export function declarationToMessage({
  name,
  namespace,
  origin,
}: Omit<Declared<unknown>, "spec">): MessageInitShape<typeof DeclarationSchema> {
  return { name, namespace, file: origin.file, origin: placeToMessage(origin) };
}

/** The name of an object, and its spec by a reader that is told the file. */
export function declaredFromMessage<Spec>(
  declaration: Declaration | undefined,
  read: (places: PlaceReader) => Spec,
): Declared<Spec> {
  const { name = "", namespace = "", file = "", origin } = declaration ?? {};
  const places = new PlaceReader(file);
  return { name, namespace, origin: places.position(origin), spec: read(places) };
}

/** Puts the file back to where it belongs. What is absent is the whole file. */
export class PlaceReader {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  position(place: FilePlace | undefined): Position {
    return { file: this.#file, line: place?.line ?? 0, column: place?.column ?? 0 };
  }

  positions(places: readonly NamedPlace[]): Readonly<Record<string, Position>> {
    return Object.fromEntries(places.map(({ name, at }) => [name, this.position(at)]));
  }

  expression(message: ExpressionMessage | undefined): ExpressionText {
    return { source: message?.source ?? "", at: this.position(message?.at) };
  }
}
