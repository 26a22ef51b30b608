/** What this browser remembers of the tester: the user's own requests, and where it connected. Never a token. */
import { jsonIn, type Store } from "../../ui/storage.ts";
import type { Request } from "./requests.ts";

const REQUESTS = "chorus.tester.requests";
const ADDRESSES = "chorus.tester.addresses";
const MOST_REQUESTS = 100;
const MOST_ADDRESSES = 10;

export function savedRequests(store: Store): readonly Request[] {
  return read(store, REQUESTS).filter(isRequest);
}

/** Keeps a request; one of the same name is replaced. */
export function saveRequest(store: Store, request: Request): readonly Request[] {
  const others = savedRequests(store).filter(({ name }) => name !== request.name);
  return write(store, REQUESTS, [...others, request].slice(-MOST_REQUESTS));
}

export function forgetRequest(store: Store, name: string): readonly Request[] {
  return write(store, REQUESTS, savedRequests(store).filter((request) => request.name !== name));
}

export function savedAddresses(store: Store): readonly string[] {
  return read(store, ADDRESSES).filter((address) => typeof address === "string");
}

/** Keeps an address, the newest first, unless a credential may be in it. */
export function saveAddress(store: Store, address: string): readonly string[] {
  const known = savedAddresses(store);
  const { username, password, search } = new URL(address);
  if (username || password || search) return known;
  return write(store, ADDRESSES, [address, ...known.filter((other) => other !== address)].slice(0, MOST_ADDRESSES));
}

function isRequest(value: unknown): value is Request {
  return typeof value === "object" && value !== null && "name" in value && typeof value.name === "string" && "text" in value && typeof value.text === "string";
}

function read(store: Store, key: string): readonly unknown[] {
  const value = jsonIn(store, key);
  return Array.isArray(value) ? value : [];
}

function write<T>(store: Store, key: string, value: readonly T[]): readonly T[] {
  store.set(key, JSON.stringify(value));
  return value;
}
