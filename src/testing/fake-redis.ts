/** A Redis server that gives one answer to every script. */

export interface FakeRedis {
  readonly port: number;
  /** What was asked after the greeting, arguments apart. */
  readonly asked: string[][];
  stop(): void;
}

/** `reply`: "ERROR…" is an error, undefined never comes, the rest is a value of RESP. */
export function fakeRedis(reply: unknown): FakeRedis {
  const asked: string[][] = [];
  const server = Bun.listen<{ text: string }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = { text: "" };
      },
      data: (socket, bytes) => {
        socket.data.text += bytes.toString("latin1");
        for (let taken = take(socket.data.text); taken; taken = take(socket.data.text)) {
          socket.data.text = socket.data.text.slice(taken.length);
          const greeting = taken.words[0]?.toUpperCase() === "HELLO";
          if (!greeting) asked.push(taken.words);
          if (greeting) socket.write("%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n");
          else if (reply !== undefined) socket.write(encode(reply));
        }
      },
    },
  });
  return { port: server.port, asked, stop: () => server.stop(true) };
}

function encode(value: unknown): string {
  if (typeof value === "string")
    return value.startsWith("ERR") ? `-${value}\r\n` : `$${value.length}\r\n${value}\r\n`;
  if (typeof value === "number") return `:${value}\r\n`;
  if (Array.isArray(value)) return `*${value.length}\r\n${value.map(encode).join("")}`;
  return "$-1\r\n";
}

/** One command: an array of bulk strings. */
function take(text: string): { readonly words: string[]; readonly length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  const words: string[] = [];
  let at = head[0].length;
  while (words.length < Number(head[1])) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (size === null) return undefined;
    const from = at + size[0].length;
    at = from + Number(size[1]) + 2;
    if (at > text.length) return undefined;
    words.push(text.slice(from, at - 2));
  }
  return { words, length: at };
}
