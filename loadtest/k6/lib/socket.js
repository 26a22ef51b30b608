// What is particular about k6's WebSockets.

export const { WebSocket } = webSockets();

// Ends the TCP connection without a close frame, as a network does. k6 has no call for it. But a close frame holds 123
// bytes of reason; k6 1.1 finds out only when it writes the frame, and then drops the connection.
export function cut(socket) {
  try {
    socket.close(4000, 'x'.repeat(124));
  } catch {
    // A k6 that looks before it writes: a close frame then, which the gateway answers.
    socket.close(4000);
  }
}

// Whether a client may try again after this error. 1000 and 1001 come without one, a code beyond them in its text.
export function mayReturn(error) {
  const code = Number(/close (\d+)/.exec(error)?.[1]);
  return ![1002, 1003, 1007, 1008, 1009].includes(code);
}

// k6 1.1 has them under this name, later ones without "experimental".
function webSockets() {
  try {
    return require('k6/websockets');
  } catch {
    return require('k6/experimental/websockets');
  }
}
