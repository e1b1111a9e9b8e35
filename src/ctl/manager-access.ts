/**
 * How `mesh ctl` shows who it is, and how it knows the manager: an access token, a certificate and
 * roots, from flags or the environment. Secrets are read from files or the environment only: a
 * command line is for everybody on the machine to see.
 */
import { readFileSync } from "node:fs";
import type { Interceptor } from "@connectrpc/connect";
import type { ManagerCredential } from "../api/discovery/manager-transport.ts";
import { rootPinOf } from "../api/discovery/root-pin.ts";
import { CtlError, EXIT, usageError } from "./command.ts";
import type { CtlIo } from "./terminal.ts";

/** As the flags have them. */
export interface ManagerArguments {
  readonly manager?: string | undefined;
  /** Files. */
  readonly token?: string | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface ManagerAccess {
  readonly credential: ManagerCredential;
  readonly interceptors: Interceptor[];
}

export function managerAccess(url: string, args: ManagerArguments, { env }: CtlIo): ManagerAccess {
  const token = accessToken(args, env);
  const ca = args.ca || env.MESH_CA;
  const [cert, key] = [args.cert || env.MESH_CERT, args.key || env.MESH_KEY];
  if ((cert || undefined) !== undefined && !key) throw usageError("--cert needs --key");
  const certificate =
    cert && key ? { chainPem: read(cert, "--cert"), keyPem: read(key, "--key") } : undefined;
  const roots = ca ? certificatesIn(read(ca, "--ca"), ca) : [];
  const rootPin = rootPinOf(token);
  if (url.startsWith("https:") && roots.length === 0 && rootPin === "")
    throw usageError(
      `how is ${url} to be known as the manager?`,
      "--token FILE with an access token says it, or --ca FILE with the manager's roots",
    );
  return {
    credential: { certificate: () => certificate, roots: () => roots, rootPin: () => rootPin },
    interceptors: token === "" ? [] : [showing(token)],
  };
}

function accessToken({ token: file }: ManagerArguments, env: CtlIo["env"]): string {
  const path = file || env.MESH_TOKEN_FILE;
  const token = file
    ? read(file, "--token")
    : env.MESH_TOKEN || (path ? read(path, "--token") : "");
  const text = token.trim();
  if (!/^[!-~]*$/.test(text)) throw usageError("--token: what is in the file is no token");
  return text;
}

function showing(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

function certificatesIn(text: string, path: string): readonly string[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? [];
  if (found.length === 0) throw usageError(`--ca ${path}: there is no certificate in it`);
  return found;
}

function read(path: string, flag: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CtlError(`${flag} ${path}: ${reason}`, EXIT.usage);
  }
}
