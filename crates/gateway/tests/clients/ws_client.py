"""A client of a chat room on Python's `websockets`, which we did not write. ws_client.mjs is the same on Node's `ws`.

    python ws_client.py --url ws://127.0.0.1:8080/ws --token JWT --room lobby --name p1 --count 50 --expect 150 [--rate 40] [--deadline 60]

Without --token the token is taken from CHORUS_TOKEN. It authenticates by its first frame, joins with the last --expect messages
replayed (so that clients need not start together), says --count messages {"text": "<name> <i>"} with the ids `<name>-<i>`, at most
--rate a second and 16 unanswered, and waits until all of them are acknowledged and --expect messages of the room were seen: all
that everyone says, from an empty room on. Then it listens 300 ms longer, for what must not come.

stdout: one line {"client", "ok", "seen": [[epoch, seq, from, id], ...], "acked": {id: seq}, "error"}, also on failure.
Exit: 0 when ok, 1 when not, 2 when called wrongly or when `websockets` is missing.
"""

import argparse
import asyncio
import json
import os
import sys

try:
    import websockets
    from websockets.asyncio.client import connect
except ImportError:
    print("websockets is not installed: pip install -r requirements.txt", file=sys.stderr)
    sys.exit(2)

UNANSWERED = 16
LISTEN_ON_SECONDS = 0.3
RETRY_MS = 200


class Wrong(Exception):
    """The server did something that the protocol does not allow."""


class Client:
    def __init__(self, socket, options):
        self.seen = []
        self.acked = {}
        self._socket = socket
        self._options = options
        self._position = None
        self._joined = asyncio.Event()
        self._unanswered = set()
        self._said = set()
        self._sent_again = False
        self._retries = set()

    async def run(self):
        """Speaks and listens at the same time; whichever fails first ends both."""
        await self._send({"type": "auth", "token": self._options.token})
        listening = asyncio.create_task(self._listen())
        talking = asyncio.create_task(self._talk())
        try:
            done, _ = await asyncio.wait({listening, talking}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (listening, talking, *self._retries):
                task.cancel()

    async def _talk(self):
        await self._joined.wait()
        options = self._options
        for i in range(options.count):
            while len(self._unanswered) >= UNANSWERED:
                await asyncio.sleep(0.005)
            message_id = f"{options.name}-{i}"
            self._unanswered.add(message_id)
            await self._say(message_id)
            await asyncio.sleep(1 / options.rate)
        while self._unanswered or len(self.seen) < options.expect:
            await asyncio.sleep(0.02)
        await asyncio.sleep(LISTEN_ON_SECONDS)
        self._check()

    async def _listen(self):
        async for data in self._socket:
            if not isinstance(data, str):
                raise Wrong("a binary frame")
            await self._frame(json.loads(data))
        raise Wrong(f"closed with {self._socket.close_code} {self._socket.close_reason}")

    async def _send(self, frame):
        await self._socket.send(json.dumps(frame))

    async def _say(self, message_id):
        name, room = self._options.name, self._options.room
        text = f"{name} {message_id[len(name) + 1:]}"
        await self._send({"type": "message", "room": room, "ref": message_id, "id": message_id, "data": {"text": text}})

    async def _frame(self, frame):
        match frame["type"]:
            case "welcome":
                await self._send({"type": "join", "ref": "join", "room": self._options.room, "recent": self._options.expect})
            case "ok" if frame["ref"] == "join":
                self._position = frame["seq"]
                self._joined.set()
            case "ok":
                self._acknowledged(frame)
            case "error":
                self._refused(frame)
            case "message":
                self._event(frame)
            case "reset" | "closing":
                raise Wrong(json.dumps(frame))

    def _acknowledged(self, frame):
        if frame["id"] != frame["ref"]:
            raise Wrong(f"the ok for {frame['ref']} speaks of {frame['id']}")
        self._unanswered.discard(frame["ref"])
        self.acked[frame["ref"]] = frame["seq"]

    def _refused(self, frame):
        ref, code = frame.get("ref"), frame["code"]
        if ref not in self._unanswered or code not in ("unavailable", "rate_limited"):
            raise Wrong(f"error {code} for {ref}: {frame.get('message')}")
        self._sent_again = True

        async def again():
            await asyncio.sleep(frame.get("retry_after_ms", RETRY_MS) / 1000)
            await self._say(ref)

        self._retries.add(asyncio.create_task(again()))

    def _event(self, frame):
        epoch, seq, sender, message_id = frame["epoch"], frame["seq"], frame["from"], frame.get("id")
        if frame["room"] != self._options.room:
            raise Wrong(f"a message of room {frame['room']}")
        if seq != self._position + 1:
            raise Wrong(f"seq {seq} after {self._position}")
        if (sender, message_id) in self._said:
            raise Wrong(f"{sender} {message_id} came twice")
        self._said.add((sender, message_id))
        self._position = seq
        self.seen.append([epoch, seq, sender, message_id])

    def _check(self):
        options = self._options
        if len(self.seen) != options.expect:
            raise Wrong(f"saw {len(self.seen)} messages, not {options.expect}")
        at = {message_id: seq for _, seq, _, message_id in self.seen}
        own = [f"{options.name}-{i}" for i in range(options.count)]
        for message_id in own:
            if at.get(message_id) != self.acked[message_id]:
                raise Wrong(f"{message_id} was acknowledged at {self.acked[message_id]} and seen at {at.get(message_id)}")
        places = [at[message_id] for message_id in own]
        if places != sorted(places) and not self._sent_again:
            raise Wrong("own messages are not in the order sent")


def arguments():
    parser = argparse.ArgumentParser(description="A chat client on Python's websockets.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", default=os.environ.get("CHORUS_TOKEN"))
    parser.add_argument("--room", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--expect", type=int, required=True)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--deadline", type=float, default=60)
    options = parser.parse_args()
    if not options.token:
        parser.error("--token is missing")
    return options


async def main():
    options = arguments()
    client, error = None, None
    try:
        async with asyncio.timeout(options.deadline):
            # A proxy of the machine's environment has no business between a test and its server.
            async with connect(options.url, subprotocols=["chorus.v1"], proxy=None) as socket:
                client = Client(socket, options)
                await client.run()
    except TimeoutError:
        error = f"not done in {options.deadline:g} s: saw {len(client.seen) if client else 0} messages"
    except (Wrong, OSError, websockets.WebSocketException) as failure:
        error = str(failure) or type(failure).__name__
    seen, acked = (client.seen, client.acked) if client else ([], {})
    print(json.dumps({"client": f"python websockets {websockets.__version__}", "ok": error is None, "seen": seen, "acked": acked, "error": error}))
    return 0 if error is None else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
