import { useCallback, useSyncExternalStore } from "react";
import type { Marker, Room } from "chorus-client";

const NONE: readonly Marker[] = [];
const nothing = () => {};

/** How far everybody in the room has read. */
export function useMarkers(room: Room | undefined): readonly Marker[] {
  const subscribe = useCallback((listener: () => void) => room?.markers.subscribe(listener) ?? nothing, [room]);
  return useSyncExternalStore(subscribe, () => room?.markers.value ?? NONE);
}
