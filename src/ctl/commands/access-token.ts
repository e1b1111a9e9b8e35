/** `mesh ctl access-token`: tokens by which people and scripts call the manager, in a role. */
import { AccessRole, type AccessToken } from "../../api/gen/mesh/v1/identity_pb.ts";
import { call, type Manager, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { managerFlags } from "../flag.ts";
import { isoTime, jsonText } from "../output/document.ts";
import { renderTable } from "../output/table.ts";
import { harmless } from "../terminal.ts";
import { durationSeconds, idToRevoke, whenText } from "../token-input.ts";

const ROLES: Readonly<Record<string, AccessRole>> = {
  viewer: AccessRole.VIEWER,
  operator: AccessRole.OPERATOR,
  admin: AccessRole.ADMIN,
};

export const accessTokenCommand = defineCtlCommand({
  args: {
    action: { type: "positional", required: true, description: "create, list or revoke" },
    role: {
      type: "enum",
      alias: "r",
      options: Object.keys(ROLES),
      description:
        "With create: viewer reads; operator changes rules; admin issues tokens (viewer)",
    },
    expires: { type: "string", valueHint: "D", description: "With create: after how long (90d)" },
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    ...managerFlags,
  },
  restName: "NAME|ID",
  details:
    "A token is said once; the manager keeps a hash. Give it to ctl by --token FILE or\n" +
    "MESH_TOKEN, to others as Authorization: Bearer. --expires never makes one that lasts until\n" +
    "it is revoked.",
  examples: [
    ["mesh ctl access-token create ann --role operator > ann.token", "for a person"],
    ["mesh ctl --manager https://HOST:15012 --token ann.token get route-rules", "and who uses it"],
    ["mesh ctl access-token list", "whose there are"],
    ["mesh ctl access-token revoke 3f9a61c2b7d0", "and no more, from the next call on"],
  ],
  async run(args, context) {
    const { action } = args;
    const manager = managerAt(args, context.io);
    switch (action) {
      case "create":
        return await createToken(manager, args, context);
      case "list":
        return await listTokens(manager, args.output, context);
      case "revoke": {
        const id = idToRevoke(context.rest);
        await call(manager, manager.identity.revokeAccessToken({ id }));
        context.io.stdout(`access token ${id} revoked\n`);
        return EXIT.ok;
      }
      default:
        throw usageError(`access-token ${JSON.stringify(action)}: create, list or revoke`);
    }
  },
});

interface CreateArguments {
  readonly role?: string | undefined;
  readonly expires?: string | undefined;
  readonly output?: string | undefined;
}

async function createToken(
  manager: Manager,
  args: CreateArguments,
  { io, rest }: CommandContext,
): Promise<number> {
  const [name, more] = rest;
  if (name === undefined || more !== undefined) throw usageError("for whom? one NAME, as in ann");
  const role = ROLES[args.role ?? "viewer"] ?? AccessRole.UNSPECIFIED;
  const { expires = "90d" } = args;
  const lifetimeSeconds = expires === "never" ? 0 : durationSeconds("expires", expires);
  if (expires !== "never" && lifetimeSeconds === 0)
    throw usageError("--expires 0s would be no token at all", "never is a word of its own");
  const wish = { name, role, lifetimeSeconds };
  const { token, accessToken } = await call(manager, manager.identity.createAccessToken(wish));
  if (accessToken === undefined) throw new CtlError("the manager answered with no token");
  if (args.output === "json") {
    io.stdout(jsonText({ token, ...tokenJson(accessToken) }));
    return EXIT.ok;
  }
  io.stdout(`${token}\n`);
  const until = expires === "never" ? "it is revoked" : isoTime(accessToken.expiresMs);
  const whose = `${accessToken.name}, ${roleName(accessToken.role)}`;
  io.stderr(`access token ${accessToken.id} for ${whose}: good until ${until}\n`);
  return EXIT.ok;
}

async function listTokens(
  manager: Manager,
  output: string | undefined,
  { io, paint }: CommandContext,
): Promise<number> {
  const { tokens } = await call(manager, manager.identity.listAccessTokens({}));
  const nowMs = io.clock.wallMs();
  if (output === "json") io.stdout(jsonText({ items: tokens.map(tokenJson) }));
  else if (tokens.length === 0) io.stderr("There are no access tokens.\n");
  else {
    const rows = tokens.map((token) => [
      token.id,
      harmless(token.name),
      roleName(token.role),
      whenText(token.expiresMs, nowMs),
      isoTime(token.createdMs),
      harmless(token.author) || "-",
    ]);
    io.stdout(renderTable(["ID", "NAME", "ROLE", "EXPIRES", "CREATED", "AUTHOR"], rows, paint));
  }
  return EXIT.ok;
}

function roleName(role: AccessRole): string {
  return Object.entries(ROLES).find(([, value]) => value === role)?.[0] ?? "unknown";
}

function tokenJson({ id, name, role, createdMs, expiresMs, author }: AccessToken) {
  const times = { created: isoTime(createdMs), expires: isoTime(expiresMs) };
  return { id, name, role: roleName(role), ...times, author };
}
