// The two ways to the server: a WebSocket, and, where something in between does not let one through, an event stream with posting
// by HTTP. To the connection they are the same: frames go out by `send`, come in by `onFrame`, and `onClose(code, reason)` is the end.

const REQUEST_MS = 10_000;
const PING_AFTER_QUIET_MS = 25_000;

export class SocketLink {
  /** How long it may be quiet before something is wrong with it. */
  patience = PING_AFTER_QUIET_MS;
  /** Whether the server was reached by it. */
  opened = false;
  #socket;

  constructor({ token, onFrame, onClose }) {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(`${scheme}//${location.host}/ws`, 'chorus.v1');
    socket.onopen = () => {
      this.opened = true;
      this.send({ type: 'auth', token });
    };
    socket.onmessage = (event) => onFrame(JSON.parse(event.data));
    socket.onclose = (event) => onClose(event.code, event.reason);
    this.#socket = socket;
  }

  /** Whether it went out; whether it arrived, only a reply tells. */
  send(frame) {
    if (this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Ends it. An abandoned socket may report its end much later, so nobody listens any more. */
  close() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000, 'bye');
  }
}

/**
 * A stream is of the room that was joined, and begins with that. `fetch` and not `EventSource`: that hides from a page why it was
 * refused, and that the server still gives a sign of life.
 */
export class StreamLink {
  patience = PING_AFTER_QUIET_MS;
  opened = false;
  #token;
  #onFrame;
  #onClose;
  #stream = null;
  #joined = null;
  #closing = null;

  constructor({ token, onFrame, onClose }) {
    this.#token = token;
    this.#onFrame = onFrame;
    this.#onClose = onClose;
    // There is nothing to open before a room is asked for. The server's own `welcome` comes with that.
    queueMicrotask(() => this.#tell({ type: 'welcome' }));
  }

  send(frame) {
    if (frame.type === 'join') this.#join(frame);
    else if (frame.type === 'auth') this.#renew(frame.token);
    // A stream's signs of life come by themselves.
    else if (frame.type !== 'ping') this.#post(frame);
    return true;
  }

  close() {
    this.#onFrame = this.#onClose = null;
    this.#stream?.abort();
  }

  #tell(frame) {
    this.#onFrame?.(frame);
  }

  #ended(code, reason) {
    this.#onClose?.(code, reason);
  }

  /** A stream can't be renewed, so another takes its place where it stands. */
  #renew(token) {
    this.#token = token;
    if (this.#joined) this.#join(this.#joined);
  }

  async #join(join) {
    const { ref, room, since, recent } = join;
    this.#joined = join;
    this.#stream?.abort();
    const stream = new AbortController();
    this.#stream = stream;
    const headers = { Accept: 'text/event-stream' };
    if (since) headers['Last-Event-ID'] = `${room}~${since.epoch}~${since.seq}`;
    try {
      const response = await this.#request(`/v1/events?${new URLSearchParams({ room, recent })}`, { headers }, stream);
      if (!response.ok) return await this.#refused(response, ref);
      for await (const frame of frames(response.body)) {
        if (stream === this.#stream) this.#take(frame, ref);
      }
    } catch {
      // However it was lost, it has ended.
    }
    if (stream === this.#stream) this.#ended(this.#closing?.code ?? 1006, this.#closing?.reason ?? '');
  }

  #take(frame, ref) {
    if (frame.type === 'welcome') {
      this.opened = true;
      this.patience = 2 * frame.heartbeat_ms;
    }
    if (frame.type === 'closing') this.#closing = frame;
    if (frame.seq !== undefined) this.#joined.since = { epoch: frame.epoch, seq: frame.seq };
    this.#tell(frame.type === 'ok' ? { ...frame, ref } : frame);
  }

  async #post(frame) {
    const { ref } = frame;
    const post = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(frame) };
    try {
      const response = await this.#request('/v1/frames', post, new AbortController());
      if (!response.ok) return await this.#refused(response, ref);
      if (ref) this.#tell({ ...(await response.json()), ref });
    } catch {
      // It may have been appended: said again with the same id, it is not said twice.
      if (ref) this.#tell({ type: 'error', ref, code: 'unavailable', message: 'no answer' });
    }
  }

  async #request(path, options, control) {
    const timer = setTimeout(() => control.abort(), REQUEST_MS);
    const headers = { ...options.headers, Authorization: `Bearer ${this.#token}` };
    try {
      return await fetch(path, { ...options, headers, cache: 'no-store', signal: control.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Says in the protocol's words what HTTP said. */
  async #refused(response, ref) {
    const { status } = response;
    if (status === 401) return this.#ended(1008, 'auth_failed');
    // A proxy has not found the server.
    if (status === 502 || status === 504) return this.#ended(1006, '');
    const problem = await response.json().catch(() => ({}));
    const { code = status >= 500 ? 'unavailable' : 'bad_request', detail, retry_after_ms } = problem;
    if (ref) this.#tell({ type: 'error', ref, code, message: detail, retry_after_ms });
  }
}

/** The frames of an event stream. A comment is as good as a `pong`. */
async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let data = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith(':')) yield { type: 'pong' };
      else if (line.startsWith('data:')) data.push(line.slice(5));
      else if (line === '' && data.length) yield JSON.parse(data.splice(0).join('\n'));
    }
  }
}
