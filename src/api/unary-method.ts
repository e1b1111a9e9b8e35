/** A method that is answered whole: on our own codec (grpc-server.ts), or by Connect's handlers. */
import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { CallFault } from "./call-fault.ts";

/** What a method may know of its call besides the message. */
export interface CallMetadata {
  /** By its name in lower case. */
  header(name: string): string | undefined;
  /** Sent before the answer. */
  setHeader(name: string, value: string): void;
}

export interface UnaryMethod<
  I extends DescMessage = DescMessage,
  O extends DescMessage = DescMessage,
> {
  readonly desc: DescMethodUnary<I, O>;
  /** CallFault is for the caller; anything else thrown is a mistake of ours. */
  handle(message: MessageShape<I>, metadata: CallMetadata): Promise<MessageShape<O>>;
}

/** For lists of methods, whose messages differ. */
export function unaryMethod<I extends DescMessage, O extends DescMessage>(
  desc: DescMethodUnary<I, O>,
  handle: UnaryMethod<I, O>["handle"],
): UnaryMethod {
  return { desc, handle } as unknown as UnaryMethod;
}

/** "/istio.mixer.v1.Mixer/Check" */
export function pathOf({ desc }: UnaryMethod): string {
  return `/${desc.parent.typeName}/${desc.name}`;
}

export function routesOf(methods: readonly UnaryMethod[]): (router: ConnectRouter) => void {
  return (router) => {
    for (const { desc, handle } of methods)
      router.rpc(desc, async (message: MessageShape<DescMessage>, context: HandlerContext) => {
        try {
          return await handle(message, metadataOf(context));
        } catch (thrown) {
          if (thrown instanceof CallFault) throw new ConnectError(thrown.message, thrown.code);
          throw thrown;
        }
      });
  };
}

function metadataOf({ requestHeader, responseHeader }: HandlerContext): CallMetadata {
  return {
    header: (name) => requestHeader.get(name) ?? undefined,
    setHeader: (name, value) => responseHeader.set(name, value),
  };
}
