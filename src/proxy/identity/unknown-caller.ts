/**
 * Tells of calls that the manager refuses because it does not know who calls: what the connection
 * shows is worth nothing there any more. Not of questions for a certificate, whose asker hears it
 * anyway.
 */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { IdentityService } from "../../api/gen/mesh/v1/identity_pb.ts";

export function noticingUnknown(onUnknown: () => void): Interceptor {
  const note = (thrown: unknown): never => {
    if (ConnectError.from(thrown).code === Code.Unauthenticated) onUnknown();
    throw thrown;
  };
  return (next) => async (request) => {
    if (request.service.typeName === IdentityService.typeName) return await next(request);
    const response = await next(request).catch(note);
    // A stream ends with its refusal: the head says nothing of it.
    if (!response.stream) return response;
    return { ...response, message: watched(response.message, note) };
  };
}

async function* watched<T>(
  messages: AsyncIterable<T>,
  note: (thrown: unknown) => never,
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (thrown) {
    note(thrown);
  }
}
