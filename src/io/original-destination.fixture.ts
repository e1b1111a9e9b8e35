/**
 * A server that says to each connection where it wanted to go, and from where; as a process of its
 * own, for a network namespace. Arguments: HOST PORT [transparent].
 */
import { originalDestination } from "./original-destination.ts";
import { setTransparent } from "./socket-options.ts";
import { listenTcp } from "./tcp-listener.ts";

export const FIXTURE: string = import.meta.path;

function serve(hostname: string, port: number, transparent: boolean): void {
  const listener = listenTcp<undefined>(
    { hostname, port },
    {
      open(socket) {
        const to = originalDestination(socket, listener.port);
        const wanted = to === undefined ? "us" : `${to.address} ${to.port}`;
        const from = socket.remoteAddress.replace("::ffff:", "");
        const answer = Buffer.from(`${wanted} from ${from}\n`);
        socket.write(answer, 0, answer.length);
        socket.end();
      },
      data() {},
      drain() {},
      end() {},
      close() {},
    },
  );
  if (transparent && !setTransparent(listener.fd)) throw new Error("not transparent");
  console.log("listening");
}

if (import.meta.main) {
  const [, , hostname = "", port = "", transparent] = process.argv;
  serve(hostname, Number(port), transparent !== undefined);
}
