"""A small chat on plain NATS: Pith's subjects and headers, and none of Pith's code."""
import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import sys
from urllib.parse import quote, unquote

import nats
from nats.errors import NoRespondersError, TimeoutError

# Header values keep 0x21 to 0x7E except %, and have every other byte of the UTF-8 as %XX.
PLAIN = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) != "%")


class Failure(Exception):
    """An application error: the client gets code, reason and message."""
    def __init__(self, code, reason, text):
        super().__init__(text)
        self.code, self.reason = code, reason


def token(text):
    """Turns any string into one subject token."""
    data = text.encode()
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        return text
    if len(data) <= 96:
        return "=" + base64.urlsafe_b64encode(data).decode().rstrip("=")
    return "=h" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def escape(text):
    return quote(text, safe=PLAIN)


class Chat:
    def __init__(self, nc):
        self.nc = nc

    async def on_message(self, msg):
        """Reads what the gateway sent, and answers unless it is a notify."""
        # The case of names does not matter; a % without two hex digits stands for itself, as in unquote.
        facts = {name.lower(): unquote(value) for name, value in (msg.headers or {}).items()}
        sid, uid = facts.get("pith-sid", ""), facts.get("pith-uid", "")
        room = json.loads(facts.get("pith-data", "{}")).get("room", "")  # there because the route forwards it
        body, headers, patch = b"", {}, {}
        try:
            route = msg.subject.removeprefix("pith.rpc.")
            answer, patch = await self.chat(route, sid, uid, room, read_body(msg.data))
            body = json.dumps(answer).encode()
            if "uid" in patch:
                headers["Pith-Bind"] = escape(patch["uid"])
            for key in ("set", "join", "leave"):
                if key in patch:
                    headers["Pith-" + key.capitalize()] = escape(json.dumps(patch[key]))  # ASCII, with \u
        except Failure as failure:
            headers = {
                "Nats-Service-Error-Code": str(failure.code),
                "Nats-Service-Error": str(failure),
                "Pith-Error-Reason": failure.reason,
            }
        if msg.reply:
            await self.nc.publish(msg.reply, body, headers=headers)
        elif patch:
            await self.nc.publish(f"pith.session.{sid}.patch", json.dumps(patch).encode())

    async def chat(self, route, sid, uid, room, body):
        """Handles one route; returns the answer and what changes in the session."""
        name, to, text = body.get("name", ""), body.get("to", ""), body.get("text", "")
        if route == "chat.room.join":
            new = body.get("room", "")
            if not name or not new:
                raise bad_body()
            patch = {"uid": name, "set": {"room": new}, "join": ["room." + new]}
            if room and room != new:
                patch["leave"] = ["room." + room]
                await self.to_room(room, sid, "onLeave", {"name": name})
            await self.to_room(new, sid, "onJoin", {"name": name})
            return {"code": 200, "room": new}, patch
        if route == "chat.room.whisper":
            if not to:
                raise bad_body()
            return await self.whisper(to, {"from": uid, "text": text}), {}
        if route not in ("chat.room.send", "chat.room.leave"):
            raise Failure(404, "NO_ROUTE", "no such route: " + route)
        if not room:
            raise Failure(400, "NOT_IN_ROOM", "join a room first")
        if route == "chat.room.send":
            await self.to_room(room, sid, "onChat", {"from": uid, "text": text})
            return {"code": 200}, {}
        await self.to_room(room, sid, "onLeave", {"name": uid})
        return {"code": 200}, {"set": {"room": None}, "leave": ["room." + room]}

    async def on_closed(self, msg):
        """A session has ended, on whichever gateway: its room hears of it."""
        session = json.loads(msg.data)["session"]
        room = session["data"].get("room", "")
        if room:
            await self.to_room(room, session["sid"], "onLeave", {"name": session["uid"]})

    async def whisper(self, to, value):
        """Every gateway with a session of `to` answers; the first answer will do."""
        subject, headers = f"pith.user.{token(to)}.push", {"Pith-Route": "onWhisper"}
        try:
            await self.nc.request(subject, json.dumps(value).encode(), 1, headers=headers)
        except NoRespondersError:
            return {"code": 404, "reason": "OFFLINE"}
        except TimeoutError:
            raise Failure(504, "TIMEOUT", "the gateway did not answer") from None
        return {"code": 200}

    async def to_room(self, room, but, route, value):
        """Pushes to everyone in a room except one session."""
        headers = {"Pith-Route": route, "Pith-Except-Sids": escape(json.dumps([but]))}
        subject = f"pith.group.{token('room.' + room)}.push"
        await self.nc.publish(subject, json.dumps(value).encode(), headers=headers)


def bad_body():
    return Failure(400, "BAD_BODY", "a JSON object with the fields of this route is needed")


def read_body(data):
    try:
        body = json.loads(data)
        json.dumps(body, ensure_ascii=False).encode()  # fails on half a surrogate pair
    except (ValueError, RecursionError):
        raise bad_body() from None
    if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
        raise bad_body()
    return body


async def report(error):
    print("chat on NATS:", str(error) or type(error).__name__, file=sys.stderr)


async def main():
    url, stop = os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), asyncio.Event()
    login = {"user": os.environ.get("NATS_USER"), "password": os.environ.get("NATS_PASSWORD")}
    options = {"max_reconnect_attempts": -1, "drain_timeout": 5, "error_cb": report}
    nc = await nats.connect(url, name="chat", **options, **login)  # waits for the server, and reconnects
    chat = Chat(nc)
    await nc.subscribe("pith.rpc.chat.>", queue="chat", cb=chat.on_message)
    await nc.subscribe("pith.event.session.closed", queue="chat", cb=chat.on_closed)
    await nc.flush()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("chat on NATS: ready", flush=True)
    await stop.wait()
    await nc.drain()


asyncio.run(main())
