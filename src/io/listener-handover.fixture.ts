/**
 * A server of one line per connection, as a process of its own: it takes its listener over from a
 * predecessor if there is one, and exits when a successor has taken it and all answers are sent.
 */
import { offerListeners, takeListeners } from "./listener-handover.ts";
import { listenTcp } from "./tcp-listener.ts";

const [path = "", port = "0", name = ""] = process.argv.slice(2);

let open = 0;
let draining = false;
const answer = Buffer.from(`${name}\n`);

const taken = await takeListeners(path, 5_000);
const fd = taken?.use("main");
const listener = listenTcp<undefined>(
  {
    hostname: "127.0.0.1",
    port: Number(port),
    reusePort: true,
    ...(fd === undefined ? {} : { fd }),
  },
  {
    open() {
      open++;
    },
    data(socket) {
      socket.write(answer, 0, answer.length);
      socket.end();
    },
    drain() {},
    end(socket) {
      socket.end();
    },
    close() {
      open--;
      exitWhenDrained();
    },
  },
);
await taken?.complete();
const offer = offerListeners({
  path,
  listeners: () => [{ name: "main", fd: listener.fd }],
  onTaken() {
    listener.stop();
    draining = true;
    offer.close();
    exitWhenDrained();
  },
});
console.log(`${listener.port}`);

function exitWhenDrained(): void {
  if (draining && open === 0) setImmediate(() => open === 0 && process.exit(0));
}
