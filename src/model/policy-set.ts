/** All policy and telemetry of a mesh, as operators declare it. Spec tables: mixer 2.7, 3.1. */
import type { Position } from "../core/problem.ts";
import type { AttributeManifest } from "./attribute-manifest.ts";
import type { Handler } from "./handler.ts";
import type { HttpApiSpec } from "./http-api-spec.ts";
import type { Instance } from "./instance.ts";
import type { PolicyRule } from "./policy-rule.ts";
import type { QuotaSpec, SpecBinding } from "./quota-spec.ts";

/** One declared object, and what it is called. */
export interface Declared<Spec> {
  readonly name: string;
  readonly namespace: string;
  readonly origin: Position;
  readonly spec: Spec;
}

/** All policy that a process runs on: what the manager sends, what a directory holds. */
export interface PolicySet {
  readonly manifests: readonly Declared<AttributeManifest>[];
  readonly handlers: readonly Declared<Handler>[];
  readonly instances: readonly Declared<Instance>[];
  readonly rules: readonly Declared<PolicyRule>[];
  readonly quotaSpecs: readonly Declared<QuotaSpec>[];
  readonly quotaSpecBindings: readonly Declared<SpecBinding>[];
  readonly httpApiSpecs: readonly Declared<HttpApiSpec>[];
  readonly httpApiSpecBindings: readonly Declared<SpecBinding>[];
}

/** Rules of this namespace are for requests to every namespace. */
export const policyRootNamespace = "istio-system";
