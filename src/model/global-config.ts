/**
 * What the aspects of Istio 0.1 refer to: adapters with their parameters, and descriptors of what
 * is measured, logged and limited. Spec table: mixer 3.5.
 */
import type { ValueType } from "../attribute/value.ts";
import type { Position } from "../core/problem.ts";
import type { AspectKind } from "./aspect-config.ts";
import type { AttributeManifest } from "./attribute-manifest.ts";
import type { Parameters } from "./handler.ts";

export interface GlobalConfig {
  readonly adapters: readonly AspectAdapter[];
  readonly manifests: readonly (AttributeManifest & { readonly name: string })[];
  readonly metrics: readonly MetricDescriptor[];
  readonly logs: readonly Descriptor[];
  readonly quotas: readonly Descriptor[];
}

export interface AspectAdapter {
  readonly name: string;
  /** Undefined: every kind that it provides. */
  readonly kind: AspectKind | undefined;
  /** "memQuota" */
  readonly impl: string;
  readonly parameters: Parameters;
  readonly at: Position;
}

export interface Descriptor {
  readonly name: string;
  readonly labels: Readonly<Record<string, ValueType>>;
  readonly at: Position;
}

export interface MetricDescriptor extends Descriptor {
  readonly description: string;
  readonly kind: "GAUGE" | "COUNTER" | "DISTRIBUTION";
  /** As the prometheus adapter reads it. */
  readonly buckets: Parameters;
}
