/**
 * Calls to the manager: Connect over HTTP/1.1, with a deadline. What goes wrong becomes a CtlError:
 * an absent manager is exit code 3 and one calm sentence.
 */
import type { Client } from "@connectrpc/connect";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { managerTransport } from "../api/discovery/manager-transport.ts";
import { ConfigService, StatusService } from "../api/gen/mesh/v1/config_pb.ts";
import { IdentityAdminService } from "../api/gen/mesh/v1/identity_pb.ts";
import { CtlError, EXIT } from "./command.ts";
import { DEFAULT_MANAGER } from "./flag.ts";
import { type ManagerArguments, managerAccess } from "./manager-access.ts";
import type { CtlIo } from "./terminal.ts";

const DEADLINE_MS = 10_000;
/** As the runtime's fetch says that nobody is there. */
const UNREACHABLE = new Set([
  "ConnectionRefused",
  "ECONNREFUSED",
  "FailedToOpenSocket",
  "ENOTFOUND",
]);
const CERTIFICATE_FAULT = /CERT|UNABLE_TO_|SELF_SIGNED|ISSUER/;

export interface Manager {
  readonly url: string;
  readonly config: Client<typeof ConfigService>;
  readonly status: Client<typeof StatusService>;
  readonly identity: Client<typeof IdentityAdminService>;
}

/** Does not connect yet. */
export function managerAt(args: ManagerArguments, io: CtlIo, deadlineMs = DEADLINE_MS): Manager {
  const given = args.manager ?? io.env.MESH_MANAGER ?? "";
  const url = baseUrl(given === "" ? DEFAULT_MANAGER : given);
  const { credential, interceptors } = managerAccess(url, args, io);
  const options = { interceptors, defaultTimeoutMs: deadlineMs };
  const transport = url.startsWith("https:")
    ? managerTransport(url, credential, options)
    : createConnectTransport({
        baseUrl: url,
        httpVersion: "1.1",
        useBinaryFormat: true,
        ...options,
      });
  return {
    url,
    identity: createClient(IdentityAdminService, transport),
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
  const { cause } = error;
  const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (CERTIFICATE_FAULT.test(reason))
    return new CtlError(
      `who answers at ${manager.url} is not a manager that is trusted here (${reason})`,
      EXIT.unreachable,
      "--ca FILE names roots to trust; `mesh ctl certs` shows them where the manager runs",
    );
  switch (UNREACHABLE.has(reason) ? Code.Unavailable : error.code) {
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return new CtlError(
        message,
        EXIT.failed,
        "--token FILE or MESH_TOKEN says who you are; `mesh ctl access-token create` makes one",
      );
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
