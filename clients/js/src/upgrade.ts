/** From an event stream back to a WebSocket: when one is tried beside the stream, and how it takes its place. */
import type { Frame, Link, LinkEvents } from "./wire.ts";

const HANDSHAKE_MS = 10_000;
/** After half to one and a half of this it is tried again, and after up to the longest when it was in vain again and again. */
const AGAIN_MS = 60_000;
const LONGEST_MS = 600_000;
/** Instead, when a room found no place in the stream: from now on, and then twice as long each time. */
const NEEDED_MS = 2_000;

/** What is to take the stream's place. */
export interface Better {
  socket(on: LinkEvents): Link;
  /** It was welcomed, and is the connection from now on: the stream is closed. All that it tells goes where the stream's went. */
  move(to: Link): void;
}

export interface Upgrade {
  /** Tries at once. Resolves when that was in vain; from then on it is tried again. */
  begin(): Promise<void>;
  /** The stream is not enough. */
  need(): void;
  end(): void;
}

export function upgrade({ socket, move }: Better, token: () => string | undefined, on: LinkEvents): Upgrade {
  let trial: Link | undefined;
  /** The end of a trial, or the beginning of the next. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let isNeeded = false;

  /** The stream stays as it is until the WebSocket is welcomed. */
  const attempt = (failed: () => void) => {
    let welcomed = false;
    const fail = () => {
      clearTimeout(timer);
      trial?.close();
      trial = undefined;
      later();
      failed();
    };
    timer = setTimeout(fail, HANDSHAKE_MS);
    try {
      const mine: Link = socket({
        onOpen: () => token() && mine.send({ type: "auth", token: token()! }),
        onFrame(frame: Frame) {
          if (!welcomed) {
            if (frame.type !== "welcome") return;
            welcomed = true;
            trial = undefined;
            move(mine);
          }
          on.onFrame(frame);
        },
        onClose: (code, reason) => (welcomed ? on.onClose(code, reason) : fail()),
      });
      trial = mine;
    } catch {
      fail();
    }
  };

  const later = () => {
    clearTimeout(timer);
    const [least, most] = isNeeded ? [0, NEEDED_MS] : [AGAIN_MS / 2, AGAIN_MS];
    timer = setTimeout(attempt, least + Math.random() * Math.min(LONGEST_MS, most * 2 ** failures++), () => {});
  };

  return {
    begin: () => new Promise(attempt),
    need() {
      if (isNeeded) return;
      isNeeded = true;
      failures = 0;
      if (!trial) later();
    },
    end() {
      clearTimeout(timer);
      trial?.close();
    },
  };
}
