"""A chat in a terminal, on Python's `websockets`: a line typed goes to the room, what is said there is printed, and nothing
is lost or doubled when the network, a server or this client's patience fails.

    CHORUS_TOKEN=… python chat.py [room] [url]
"""

import asyncio
import json
import os
import random
import re
import sys
import threading
import time
import uuid
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

# Close codes after which coming back would end the same way. 4401 (expired) is among them, as the token stays what it is.
FINAL = {1000, 1002, 1003, 1007, 1008, 1009, 4401}


class GaveUp(Exception):
    """There is no point in trying again."""


class Chat:
    def __init__(self, url, token, room):
        self.url, self.token, self.room = url, token, room
        self.socket = None
        self.joined = False
        self.attempt = 0
        self.retry_after = 0  # What the server asked for, in seconds.
        self.position = None  # The epoch and seq of the last event that was seen: a new connection goes on from there.
        self.id_ttl = float("inf")  # For how many seconds the server knows an `id` again.
        self.sending = None  # The one message that is under way: its id, its text, when it was sent first.
        self.settled = asyncio.Event()
        self.again = None  # The task that sends again what was refused for now; after a lost connection the next one does.

    async def stay(self):
        """Connects again and again, until it is cancelled or the server says not to come back."""
        while True:
            try:
                # The library's own pings find a connection that is dead without a word.
                async with connect(self.url, subprotocols=["chorus.v1"]) as self.socket:
                    await self.say(type="auth", token=self.token)
                    with suppress(ConnectionClosed):
                        async for text in self.socket:
                            await self.receive(json.loads(text))
                code, reason = self.socket.close_code, self.socket.close_reason
            except (OSError, InvalidHandshake) as error:
                code, reason = None, str(error) or type(error).__name__
            self.joined = False
            if self.again:
                self.again.cancel()
            if code in FINAL:
                raise GaveUp(f"{code} {reason}")
            # Full jitter: all clients of a lost server come back, but not all at once. Never before the server said.
            delay = self.retry_after + random.uniform(0, min(30, 0.5 * 2**self.attempt))
            self.attempt, self.retry_after = min(self.attempt + 1, 10), 0
            note(f"{code or ''} {reason}; reconnecting in {delay:.1f} s")
            await asyncio.sleep(delay)

    async def receive(self, frame):
        match frame:
            case {"type": "welcome"}:
                self.id_ttl = frame["limits"]["id_ttl_ms"] / 1000
                note(f"connected to {frame['node']} as {frame['user']}")
                # Without a position yet, the last 50 are what begins.
                since = {"since": self.position} if self.position else {}
                return await self.say(type="join", room=self.room, recent=50, ref="join", **since)
            case {"type": "ok", "ref": "join"}:
                return await self.entered(frame)
            case {"type": "ok"}:
                return self.settle(frame["ref"])
            case {"type": "error"}:
                return await self.refused(frame)
            case {"type": "closing"}:
                self.retry_after = frame.get("retry_after_ms", 0) / 1000
                if "message" in frame:
                    note(frame["message"])
                return
            case {"type": "reset"}:
                note(f"the log goes on elsewhere ({frame['reason']}): something before this line may be missing")
            case {"type": "message", "data": data}:  # One that was deleted has no data.
                text = data["text"] if isinstance(data, dict) and "text" in data else json.dumps(data)
                print(printable(f"{frame['from']}: {text}"), flush=True)
        # Edits, reactions and types yet unknown move the position, too: whatever has a `seq` and is no answer.
        if "epoch" in frame and "seq" in frame:
            self.position = {"epoch": frame["epoch"], "seq": frame["seq"]}

    async def entered(self, ok):
        if self.position and not ok["recovered"]:
            note("away for too long: something before this line may be missing")
        self.position = {"epoch": ok["epoch"], "seq": ok["seq"]}
        self.joined, self.attempt = True, 0
        await self.deliver()

    async def send(self, text):
        """Returns when the message is in the log. One at a time keeps them in order, and within the server's limits."""
        self.sending = {"id": str(uuid.uuid4()), "text": text, "first": None}
        self.settled.clear()
        await self.deliver()
        await self.settled.wait()

    async def deliver(self, after=0):
        """Sends what is not acknowledged: the same `id` again is the same message, however often it arrives."""
        await asyncio.sleep(after)
        if not self.sending or not self.joined:
            return
        now = time.monotonic()
        message_id, text, first = self.sending["id"], self.sending["text"], self.sending["first"] or now
        self.sending["first"] = first
        if now - first > self.id_ttl:
            return self.settle(message_id, "not known whether it was sent")
        await self.say(type="message", room=self.room, id=message_id, data={"text": text}, ref=message_id)

    async def refused(self, error):
        ref, code, wait = error.get("ref"), error["code"], error.get("retry_after_ms", 1000) / 1000
        passing = code in ("unavailable", "rate_limited")
        if self.sending and ref == self.sending["id"]:
            if passing:
                self.again = asyncio.create_task(self.deliver(after=wait))
            else:
                self.settle(ref, f"not sent, {code}: {error['message']}")
        elif ref == "join" and (passing or "retry_after_ms" in error):
            self.retry_after = wait
            await self.socket.close(1001)
        else:
            raise GaveUp(f"{code}: {error['message']}")  # The room is not for this user, or no more.

    def settle(self, message_id, trouble=None):
        if self.sending and message_id == self.sending["id"]:
            if trouble:
                note(f"{trouble}: {self.sending['text']}")
            self.sending = None
            self.settled.set()

    async def say(self, **frame):
        with suppress(ConnectionClosed):  # Whoever reads finds out, too, and comes back.
            await self.socket.send(json.dumps(frame))


async def talk(chat):
    """Sends what is typed, until the end of the input. A thread waits for it, as no event loop can everywhere."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue(maxsize=1)

    def read():
        with open(0, closefd=False) as typed:
            for line in typed:
                asyncio.run_coroutine_threadsafe(lines.put(line.strip()), loop).result()
        asyncio.run_coroutine_threadsafe(lines.put(None), loop).result()

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        if line:
            await chat.send(line)


def printable(text):
    """What others wrote must not steer a terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", text)


def note(text):
    print("*", printable(text), file=sys.stderr, flush=True)


async def main(room="lobby", url="ws://127.0.0.1:8080/ws"):
    if not (token := os.environ.get("CHORUS_TOKEN")):
        sys.exit("set CHORUS_TOKEN; README.md says where a token comes from")
    chat = Chat(url, token, room)
    staying, talking = asyncio.create_task(chat.stay()), asyncio.create_task(talk(chat))
    done, _ = await asyncio.wait({staying, talking}, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    # The other one is cancelled by asyncio.run, and leaves the connection in good order.


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except GaveUp as why:
        sys.exit(f"* {why}")
    except KeyboardInterrupt:
        pass
