// A chat on Socket.IO, as its documentation shows it. PORT says where; ADAPTER is "redis" or "sharded" for the Redis
// adapter at REDIS_URL, or nothing for one node.
import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const { PORT, ADAPTER, REDIS_URL } = process.env;

async function adapter() {
  if (!ADAPTER) return undefined;
  const publisher = createClient({ url: REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  if (ADAPTER === "redis") return createAdapter(publisher, subscriber);
  if (ADAPTER === "sharded") return createShardedAdapter(publisher, subscriber);
  throw new Error(`ADAPTER=${ADAPTER}: expected "redis" or "sharded"`);
}

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false, adapter: await adapter() });

io.on("connection", (socket) => {
  socket.on("join", (room, joined) => {
    socket.join(room);
    joined(room);
  });
  socket.on("message", (message) => io.to(message.room).emit("message", message));
});
http.listen(Number(PORT), "127.0.0.1", () => console.log("ready"));
