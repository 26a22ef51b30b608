// A home-made chat on `ws`: every message goes to everyone in its room, as it came. PORT says where.
import { WebSocketServer } from "ws";

const rooms = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.env.PORT), perMessageDeflate: false });

server.on("connection", (socket) => {
  socket.rooms = [];
  socket.send('{"type":"welcome"}');
  socket.on("message", (bytes) => {
    const text = bytes.toString();
    const { type, room } = JSON.parse(text);
    if (type === "join") {
      if (!rooms.has(room)) rooms.set(room, new Set());
      rooms.get(room).add(socket);
      socket.rooms.push(room);
      socket.send(JSON.stringify({ type: "joined", room }));
    } else {
      for (const member of rooms.get(room) ?? []) member.send(text);
    }
  });
  socket.on("close", () => {
    for (const room of socket.rooms) rooms.get(room).delete(socket);
  });
  socket.on("error", () => {});
});
server.on("listening", () => console.log("ready"));
