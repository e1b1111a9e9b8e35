/**
 * Calls to the manager: Connect over HTTP/1.1, one connection a call, with a deadline. What goes
 * wrong becomes a CtlError: an absent manager is exit code 3 and one calm sentence.
 */
import type { Client } from "@connectrpc/connect";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ConfigService, StatusService } from "../api/gen/mesh/v1/config_pb.ts";
import { CtlError, EXIT } from "./command.ts";
import { DEFAULT_MANAGER } from "./flag.ts";
import type { CtlIo } from "./terminal.ts";

const DEADLINE_MS = 10_000;

export interface Manager {
  readonly url: string;
  readonly config: Client<typeof ConfigService>;
  readonly status: Client<typeof StatusService>;
}

/** Does not connect yet. */
export function managerAt(flag: string | undefined, io: CtlIo, deadlineMs = DEADLINE_MS): Manager {
  const given = flag ?? io.env.MESH_MANAGER ?? "";
  const url = baseUrl(given === "" ? DEFAULT_MANAGER : given);
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: "1.1",
    useBinaryFormat: true,
    defaultTimeoutMs: deadlineMs,
  });
  return {
    url,
    config: createClient(ConfigService, transport),
    status: createClient(StatusService, transport),
  };
}

/** Awaits one call, and turns its failure into what an operator reads. */
export async function call<T>(manager: Manager, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw toCtlError(manager, ConnectError.from(error));
  }
}

function toCtlError(manager: Manager, error: ConnectError): CtlError {
  const message = error.rawMessage;
  switch (error.code) {
    case Code.Unavailable:
      return new CtlError(
        `no manager answers at ${manager.url}`,
        EXIT.unreachable,
        "start one with `mesh manager`, or name another with --manager URL or MESH_MANAGER",
      );
    case Code.DeadlineExceeded:
      return new CtlError(
        `the manager at ${manager.url} did not answer within ${DEADLINE_MS / 1000} s`,
        EXIT.unreachable,
      );
    case Code.Unimplemented:
      return new CtlError(
        `what answers at ${manager.url} does not know this call`,
        EXIT.failed,
        "is it a mesh manager, and of this version? `mesh ctl version` tells",
      );
    case Code.AlreadyExists:
      return new CtlError(message, EXIT.failed, "`mesh ctl apply` creates or updates");
    case Code.Unknown:
    case Code.Internal:
      return new CtlError(`the manager at ${manager.url} failed: ${message}`);
    default:
      return new CtlError(message);
  }
}

function baseUrl(text: string): string {
  const url = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.hostname === "")
    throw new CtlError(
      `--manager ${JSON.stringify(text)} is not an address`,
      EXIT.usage,
      `write it like ${DEFAULT_MANAGER}`,
    );
  return url.replace(/\/+$/, "");
}
