/** Policy of one configuration: the message of the manager ─▶ what a runtime can publish. */
import type { PolicyConfig } from "../../api/gen/mesh/v1/policy_pb.ts";
import type { Problem } from "../../core/problem.ts";
import type { PolicySet } from "../../model/policy-set.ts";
import type { ResolvedPolicy } from "../../policy/resolved-policy.ts";

export interface CompiledPolicy {
  /** What it was compiled from. */
  readonly message: PolicyConfig;
  readonly resolved: ResolvedPolicy;
  /** What `resolved` was made of: the message, with the last good form of what is broken in it. */
  readonly set: PolicySet;
  readonly problems: readonly Problem[];
  /** Full names of objects that are in force as they were before, since they are broken now. */
  readonly kept: readonly string[];
}

export type CompilePolicy = (
  message: PolicyConfig,
  former: CompiledPolicy | undefined,
) => CompiledPolicy;
