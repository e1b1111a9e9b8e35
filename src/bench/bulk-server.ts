/**
 * An upstream for large bodies, run as a process of its own: `GET /BYTES` streams as many bytes,
 * `POST` counts what it is sent and answers the count. Prints its port.
 */
interface Flow {
  head: string;
  toSend: number;
  toReceive: number;
  received: number;
}

const block = new Uint8Array(262_144).fill(120);

const server = Bun.listen<Flow>({
  hostname: "0.0.0.0",
  port: 0,
  socket: {
    open(socket) {
      socket.data = { head: "", toSend: 0, toReceive: 0, received: 0 };
    },
    data(socket, chunk) {
      const flow = socket.data;
      if (flow.toReceive === 0) {
        flow.head += chunk.toString("latin1");
        const end = flow.head.indexOf("\r\n\r\n");
        if (end === -1) return;
        const method = flow.head.slice(0, flow.head.indexOf(" "));
        if (method === "GET") {
          flow.toSend = Number(/^GET \/(\d+)/.exec(flow.head)?.[1] ?? 0);
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${flow.toSend}\r\n\r\n`);
          flow.head = "";
          return send(socket);
        }
        flow.toReceive = Number(/content-length: (\d+)/i.exec(flow.head)?.[1] ?? 0);
        flow.received = flow.head.length - end - 4;
        flow.head = "";
      } else flow.received += chunk.length;
      if (flow.received < flow.toReceive) return;
      const text = String(flow.received);
      flow.toReceive = 0;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    },
    drain: send,
  },
});
console.log(server.port);

function send(socket: Bun.Socket<Flow>): void {
  const flow = socket.data;
  while (flow.toSend > 0) {
    const wanted = Math.min(block.length, flow.toSend);
    const taken = socket.write(block, 0, wanted);
    flow.toSend -= Math.max(taken, 0);
    if (taken < wanted) return;
  }
}
