import { type ReactElement, type ReactNode, useMemo } from "react";
import type { Chat, Options } from "../src/types.ts";
import { ChatContext, type Provided, useSharedChat } from "./stores.ts";

/** Where to connect to, or a connection that the application made and ends by itself. */
export type ChatProviderProps = { readonly children?: ReactNode } & (
  | { readonly url: string; readonly options?: Options; readonly chat?: undefined }
  | { readonly chat: Chat; readonly url?: undefined; readonly options?: undefined }
);

/**
 * Gives one connection to all hooks below it. It is made when the first of them joins a room, and ends a second after the last has gone.
 * `options` may be written in place: another connection is made only when what they say changes. The functions in them are those of the first time.
 */
export function ChatProvider({ children, url, options, chat }: ChatProviderProps): ReactElement {
  const shared = useSharedChat(url, options);
  const provided = useMemo((): Provided | undefined => (chat ? { chat } : shared && { shared }), [chat, shared]);
  return <ChatContext.Provider value={provided}>{children}</ChatContext.Provider>;
}
