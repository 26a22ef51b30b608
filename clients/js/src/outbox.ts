/**
 * What one room's user wants to have appended, in order. One at a time is on its way: so the order holds also when one has to be sent
 * again, and only the first can be of unknown fate.
 */
import { passes } from "./codes.ts";
import { ChorusError, errorOf } from "./errors.ts";
import { newId } from "./id.ts";
import { pauseAfter } from "./insist.ts";
import type { Frame, Request, Wire } from "./wire.ts";
import type { RoomEvent, SendOptions, Sent } from "./types.ts";

/** What is sent again just before its id is forgotten might arrive just after. */
const MARGIN_MS = 10_000;

interface Item {
  readonly request: Request;
  readonly id: string;
  /** Of the frame, and of the data in it. */
  readonly bytes: number;
  readonly dataBytes: number;
  /** Until when its id makes it one message, in ms since 1970; unset while it was never written. */
  until?: number;
  /** An attempt was not answered, or by what does not say: it may have been appended, whatever the next is answered. */
  doubt?: boolean;
  readonly resolve: (sent: Sent) => void;
  readonly reject: (error: ChorusError) => void;
}

/** What all rooms of a chat may leave waiting. */
export interface Quota {
  messages: number;
  bytes: number;
}

export interface Outbox {
  send(request: Request, options?: SendOptions): Promise<Sent>;
  /** Goes on, if the room is there. */
  flush(): void;
  /** An event that may be one's own. */
  saw(event: RoomEvent): void;
  /** Nothing more is sent. */
  end(error: ChorusError): void;
}

export function outbox(wire: Wire, quota: Quota, isReady: () => boolean, rejoin: () => void): Outbox {
  const items: Item[] = [];
  let onItsWay: Item | undefined;
  let failures = 0;
  let pause: ReturnType<typeof setTimeout> | undefined;
  let expiry: ReturnType<typeof setTimeout> | undefined;

  const flush = () => {
    const item = items[0];
    if (!item || onItsWay || pause || !isReady()) return;
    if (item.until !== undefined && Date.now() > item.until - MARGIN_MS) return give(item, unknown());
    const { data_bytes, frame_bytes, json_depth } = wire.limits;
    // What is too large for a frame ends the connection, and what nests too deeply is refused without its `ref`.
    if (item.bytes > frame_bytes || item.dataBytes > data_bytes || depthOf(item.request) > json_depth) {
      return give(item, new ChorusError("too_large", `data may have ${data_bytes} bytes, the frame ${json_depth} levels`));
    }
    onItsWay = item;
    wire.ask(
      () => {
        if (onItsWay !== item) return undefined;
        if (item.until === undefined) {
          item.until = Date.now() + wire.limits.id_ttl_ms;
          expiry = setTimeout(() => give(item, unknown()), wire.limits.id_ttl_ms);
        }
        return item.request;
      },
      (answer) => {
        if (onItsWay !== item) return;
        onItsWay = undefined;
        if (answer) answered(item, answer);
        else item.doubt = item.until !== undefined;
      },
    );
  };

  const answered = (item: Item, answer: Frame) => {
    const { type, code, epoch, seq, duplicate = false } = answer;
    if (type === "ok") return give(item, { epoch: epoch!, seq: seq!, id: item.id, duplicate });
    if (code === "not_joined") return rejoin();
    if (!passes(answer)) return give(item, item.doubt ? unknown(errorOf(answer)) : errorOf(answer));
    item.doubt ||= code !== "rate_limited";
    pause = setTimeout(() => {
      pause = undefined;
      flush();
    }, pauseAfter(wire, answer, failures++));
  };

  /** Ends an item's story, and goes on with the next. */
  const give = (item: Item, end: Sent | ChorusError) => {
    const index = items.indexOf(item);
    if (index < 0) return;
    items.splice(index, 1);
    quota.messages++;
    quota.bytes += item.bytes;
    if (index === 0) {
      clearTimeout(expiry);
      clearTimeout(pause);
      pause = onItsWay = undefined;
      failures = 0;
    }
    if (end instanceof ChorusError) item.reject(end);
    else item.resolve(end);
    flush();
  };

  return {
    flush,
    async send(request, { id = newId(), signal } = {}) {
      // As it is now, whatever becomes of the object.
      const text = JSON.stringify({ ...request, id });
      const bytes = bytesOf(text);
      const dataBytes = request.data === undefined ? 0 : bytesOf(JSON.stringify(request.data));
      if (signal?.aborted) throw new ChorusError("aborted");
      if (quota.messages < 1 || quota.bytes < bytes) throw new ChorusError("queue_full", "too much waits to be sent");
      quota.messages--;
      quota.bytes -= bytes;
      let abort: () => void;
      return new Promise<Sent>((resolve, reject) => {
        const item: Item = { request: JSON.parse(text) as Request, id, bytes, dataBytes, resolve, reject };
        items.push(item);
        abort = () => give(item, fateOf(item, new ChorusError("aborted")));
        signal?.addEventListener("abort", abort);
        flush();
        // A signal may live as long as the application.
      }).finally(() => signal?.removeEventListener("abort", abort));
    },
    saw({ from, id, epoch, seq }) {
      const item = items[0];
      if (item?.until !== undefined && item.id === id && from === wire.user) give(item, { epoch, seq, id, duplicate: false });
    },
    end(error) {
      for (let item = items[0]; item; item = items[0]) give(item, fateOf(item, error));
    },
  };
}

/** Whoever gives up on what was never written knows that it is not in the log. */
function fateOf(item: Item, error: ChorusError): ChorusError {
  return item.until === undefined ? error : unknown();
}

function depthOf(value: unknown): number {
  return value && typeof value === "object" ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

function unknown(cause?: ChorusError): ChorusError {
  return new ChorusError("unknown", "no answer: it may have been appended or not", { cause });
}
