"use client";
export { useChat, usePresence, useRoom, useStatus, useTyping } from "./hooks.ts";
export type { RoomOptions, RoomView, TypingView } from "./hooks.ts";
export { ChatProvider, type ChatProviderProps } from "./provider.tsx";
export type { Entry, GapEntry, MessageEntry, Reaction, TimelineState } from "../src/timeline.ts";
