/** Problems as they travel: what the manager found, told to whoever asked, without loss. */
import { create } from "@bufbuild/protobuf";
import type { Problem } from "../core/problem.ts";
import {
  type ConfigProblem,
  ConfigProblem_Severity,
  ConfigProblemSchema,
} from "./gen/mesh/v1/config_pb.ts";
import { SourcePositionSchema } from "./gen/mesh/v1/proxy_config_pb.ts";

export function problemToMessage(problem: Problem): ConfigProblem {
  return create(ConfigProblemSchema, {
    severity:
      problem.severity === "error" ? ConfigProblem_Severity.ERROR : ConfigProblem_Severity.WARNING,
    position: create(SourcePositionSchema, { ...problem.position }),
    path: problem.path,
    message: problem.message,
    suggestion: problem.suggestion ?? "",
    excerpt: problem.excerpt ?? "",
  });
}

export function problemFromMessage(message: ConfigProblem): Problem {
  const { file = "", line = 0, column = 0 } = message.position ?? {};
  return {
    severity: message.severity === ConfigProblem_Severity.WARNING ? "warning" : "error",
    position: { file, line, column },
    path: message.path,
    message: message.message,
    ...(message.suggestion !== "" && { suggestion: message.suggestion }),
    ...(message.excerpt !== "" && { excerpt: message.excerpt }),
  };
}
