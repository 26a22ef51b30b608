import { useEffect, useState } from "react";
import type { Chat } from "chorus-client";
import { USUAL_BYTES } from "./sizes.ts";

interface Welcome {
  readonly type: string;
  readonly limits?: { readonly data_bytes?: number };
}

/** How many bytes of data the server takes in a message: what its `welcome` says. Nothing is listened to behind that. */
export function useLongest(chat: Chat | undefined): number {
  const [longest, setLongest] = useState(USUAL_BYTES);
  useEffect(() => {
    if (!chat) return;
    let deaf: (() => void) | undefined;
    const listen = () => {
      deaf ??= chat.on("frame", ({ out, text }) => {
        if (out) return;
        const { type, limits } = JSON.parse(text) as Welcome;
        if (type !== "welcome" || limits?.data_bytes === undefined) return;
        setLongest(limits.data_bytes);
        deaf?.();
        deaf = undefined;
      });
    };
    listen();
    // Another node may be configured otherwise.
    const end = chat.status.subscribe(({ state }) => state === "connecting" && listen());
    return () => {
      end();
      deaf?.();
    };
  }, [chat]);
  return longest;
}
