/** Objects of the mesh as JSON and YAML: stable field names and order, for scripts. */
import type { ConfigObject } from "../../api/gen/mesh/v1/config_pb.ts";
import { CtlError } from "../command.ts";

export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

export async function yamlText(value: unknown): Promise<string> {
  const { stringify } = await import("yaml");
  return stringify(value, { lineWidth: 0 });
}

export interface ObjectJson {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly apiVersion: string;
  readonly revision: number;
  readonly author: string;
  readonly created: string;
  readonly updated: string;
  readonly source: string;
  readonly spec: unknown;
}

export function objectJson(object: ConfigObject): ObjectJson {
  return {
    kind: object.kind,
    namespace: object.namespace,
    name: object.name,
    apiVersion: object.apiVersion,
    revision: Number(object.revision),
    author: object.author,
    created: isoTime(object.createdMs),
    updated: isoTime(object.updatedMs),
    source: sourceText(object.source),
    spec: parseSpec(object.specJson),
  };
}

/** "rules/canary.yaml:3", or "" where nobody knows. */
export function sourceText(source: { file: string; line: number } | undefined): string {
  if (source === undefined || source.file === "") return "";
  return source.line === 0 ? source.file : `${source.file}:${source.line}`;
}

export function isoTime(ms: bigint): string {
  return ms === 0n ? "" : new Date(Number(ms)).toISOString();
}

export function parseSpec(json: string): unknown {
  if (json === "") return {};
  try {
    return JSON.parse(json);
  } catch {
    throw new CtlError("the manager sent an object whose spec is not JSON");
  }
}

/** Documents as their authors wrote them, so that the output can be applied again. */
export function joinDocuments(texts: readonly string[]): string {
  return texts.map((text) => `${text.replace(/^---\s*\n/, "").trimEnd()}\n`).join("---\n");
}
