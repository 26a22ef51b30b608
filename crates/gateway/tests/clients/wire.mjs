// A wire between a browser and the server that can be cut: plain bytes in, plain bytes out.

import { createServer, connect } from 'node:net';

export class Wire {
  #target;
  #server;
  #sockets = new Set();
  #whole = true;

  /** Listens on a port of its own and leads to the server at `url`. */
  static async to(url) {
    const wire = new Wire();
    wire.#target = { host: url.hostname, port: Number(url.port || 80) };
    wire.#server = createServer((socket) => wire.#carry(socket));
    await new Promise((resolve) => wire.#server.listen(0, url.hostname, resolve));
    return wire;
  }

  /** The same page, through this wire. */
  url(url) {
    const through = new URL(url);
    through.port = this.#server.address().port;
    return through.href;
  }

  cut() {
    this.#whole = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#whole = true;
  }

  close() {
    this.cut();
    this.#server.close();
  }

  #carry(near) {
    if (!this.#whole) return near.destroy();
    const far = connect(this.#target);
    for (const [one, other] of [[near, far], [far, near]]) {
      this.#sockets.add(one);
      one.pipe(other);
      // The end of one is the end of the other; why it ended does not matter here.
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}
