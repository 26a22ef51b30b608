/** A WebSocket as a link. */
import type { WebSocketConstructor } from "./types.ts";
import type { Frame, Link, LinkEvents } from "./wire.ts";

export function socketLink(Socket: WebSocketConstructor, url: string, on: LinkEvents): Link {
  const socket = new Socket(url, "chorus.v1");
  let ended = false;
  socket.onopen = () => ended || on.onOpen();
  socket.onmessage = ({ data }: { data: unknown }) => {
    if (!ended && typeof data === "string") on.onFrame(JSON.parse(data) as Frame);
  };
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
    if (ended) return;
    ended = true;
    on.onClose(code, reason);
  };
  // Its close comes besides. Someone must listen, or `ws` throws.
  socket.onerror = () => {};
  return {
    send: (frame) => socket.readyState === 1 && socket.send(JSON.stringify(frame)),
    // An abandoned socket may report its end much later: nobody listens any more.
    close() {
      ended = true;
      socket.close(1000, "bye");
    },
  };
}
