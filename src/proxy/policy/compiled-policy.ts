/** Policy of one configuration: the message of the manager ─▶ what a runtime can publish. */
import type { PolicyConfig } from "../../api/gen/mesh/v1/policy_pb.ts";
import type { Problem } from "../../core/problem.ts";
import type { ResolvedPolicy } from "../../policy/resolved-policy.ts";

export interface CompiledPolicy {
  /** What it was compiled from. */
  readonly message: PolicyConfig;
  readonly resolved: ResolvedPolicy;
  /** Where any is an error, `resolved` is that of the policy before, if there was one. */
  readonly problems: readonly Problem[];
  readonly isFormer: boolean;
}

export type CompilePolicy = (
  message: PolicyConfig,
  former: CompiledPolicy | undefined,
) => CompiledPolicy;
