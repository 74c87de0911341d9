"""The game server of Pomelo's tutorial, chatofpomelo-websocket, on plain NATS. Its web page needs no change.

Rooms are groups at the gateways, which also know who is in them. The only state is `here`, for lost gateways.
"""
import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import sys
from urllib.parse import unquote

import nats
from nats.errors import NoRespondersError, TimeoutError

QUEUE = "chat"  # the instances of this program share the work
PATCH_SECONDS = 4  # a bind waits up to 2.5 s for an older session's gateway
CONTROL_SECONDS, CONTROL_TRIES = 1, 6  # NATS may pick a gateway that hangs; the next time perhaps another
LOST_MAX = 16  # lost gateways that are remembered, in case one is announced twice


class Refused(nats.errors.Error):
    """A gateway refuses, with this reason."""


def token(text):
    """Turns any string into one subject token."""
    data = text.encode()
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        return text
    if len(data) <= 96:
        return "=" + base64.urlsafe_b64encode(data).decode().rstrip("=")
    return "=h" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def room(rid):
    return "room." + rid


def user(uid):
    return uid.split("*")[0]  # a uid is <user>*<rid>, as in the tutorial


def player(session):
    """What onLeave needs of a session; both are empty before `enter`."""
    return session["uid"], session["data"].get("rid", "")


class Chat:
    def __init__(self):
        self.nc, self.tasks = None, set()
        self.here, self.terms, self.filled = {}, {}, asyncio.Event()  # gateway → {sid: player}, gateway → term
        self.gone = {}  # id of a `lost` event → the players that it ended and whose rooms are not told yet

    # What the page asks.

    async def on_enter(self, msg):
        """In a task of its own: a bind may have to wait until it is known whether an older session is still there."""
        self.start(self.answer(msg, self.enter))

    async def on_send(self, msg):
        await self.answer(msg, self.send)

    async def answer(self, msg, handle):
        facts = {name.lower(): unquote(value) for name, value in (msg.headers or {}).items()}
        reply, headers = {}, None
        try:
            reply = await handle(facts, json.loads(msg.data))
        except (ValueError, KeyError, TypeError, RecursionError):
            headers = {"Nats-Service-Error-Code": "400", "Nats-Service-Error": "not what the tutorial's page sends"}
        except nats.errors.Error as error:
            await report(error)
            headers = {"Nats-Service-Error-Code": "503", "Nats-Service-Error": "the gateways do not answer"}
        if msg.reply:
            await self.nc.publish(msg.reply, json.dumps(reply).encode(), headers=headers)

    async def enter(self, facts, body):
        """connector.entryHandler.enter: joins the room, tells the others, then looks who is there."""
        name, rid, sid = body["username"], body["rid"], facts["pith-sid"]
        if not name or not rid or "*" in name + rid:
            raise ValueError
        if facts.get("pith-uid"):
            return {"code": 500, "error": True}
        patch = {"uid": f"{name}*{rid}", "set": {"rid": rid}, "join": [room(rid)]}
        try:
            await self.ask(f"pith.session.{sid}.patch", patch, PATCH_SECONDS)
        except Refused as refused:
            if str(refused) != "UID_IN_USE":
                raise
            return {"code": 500, "error": True}  # the page asks for another name
        await self.to_room(rid, "onAdd", {"user": name}, {"Pith-Except-Sids": json.dumps([sid])})
        return {"users": [user(one["uid"]) for one in await self.sessions(groups=[room(rid)])]}

    async def send(self, facts, body):
        """chat.chatHandler.send: to everybody in the room, the sender too, or to one of them."""
        rid, target = json.loads(facts["pith-data"])["rid"], body["target"]
        said = {"msg": body["content"], "from": user(facts["pith-uid"]), "target": target}
        if target == "*":
            await self.to_room(rid, "onChat", said)
        else:
            await self.push(f"pith.user.{token(target + '*' + rid)}.push", "onChat", said)
        return {}

    # onLeave.

    async def on_closed(self, msg):
        """A session has ended, on whichever gateway."""
        await self.tell_left([player(json.loads(msg.data)["session"])])

    async def on_lost(self, msg):
        """A gateway is gone, and all its sessions with it."""
        event = json.loads(msg.data)
        players = self.lost(event)
        self.gone[event["id"]] = []
        await self.tell_left(players)

    async def tell_left(self, players):
        """Pushes onLeave for everybody who was in a room, and is not back by another session."""
        left = {uid: rid for uid, rid in players if uid and rid}
        uids = list(left)
        for some in (uids[i : i + 1000] for i in range(0, len(uids), 1000)):
            online = (await self.control("GetPresence", {"uids": some}))["presence"]
            for uid in some:
                if uid not in online:
                    await self.to_room(left[uid], "onLeave", {"user": user(uid)})

    async def on_event(self, msg):
        """Keeps `here`, in every instance: when a gateway is lost, nobody else knows who was there."""
        await self.filled.wait()
        name, event = msg.subject.removeprefix("pith.event."), json.loads(msg.data)
        session, gateway = event.get("session"), event.get("gateway")
        if name == "session.closed":
            self.here.get(session["gateway"], {}).pop(session["sid"], None)
        elif session:  # opened, bound, unbound
            self.here.setdefault(session["gateway"], {})[session["sid"]] = player(session)
        elif name == "gateway.lost":
            self.lost(event)
        elif name == "gateway.returned":  # `opened` follows for each session that is still there
            self.terms[gateway] = event["term"]
            self.here.pop(gateway, None)

    async def on_reconnected(self):
        self.start(self.fill())

    async def fill(self):
        """Who was there before the first event, or came while there was no connection."""
        for one in await self.sessions(all=True):
            self.here.setdefault(one["gateway"], {})[one["sid"]] = player(one)
        self.filled.set()

    def lost(self, event):
        """The players whom this event ends. on_event() and on_lost() both ask, in either order."""
        if event["id"] not in self.gone:
            gateway, returned = event["gateway"], self.terms.get(event["gateway"], 0) > event["term"]
            self.gone[event["id"]] = [] if returned else list(self.here.pop(gateway, {}).values())
            while len(self.gone) > LOST_MAX:
                self.gone.pop(next(iter(self.gone)))
        return self.gone[event["id"]]

    # The gateways.

    def start(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def ask(self, subject, body, seconds):
        answer = json.loads((await self.nc.request(subject, json.dumps(body).encode(), seconds)).data)
        if "error" in answer:
            raise Refused(answer["error"]["reason"])
        return answer

    async def control(self, method, body):
        """Any gateway answers for all of them."""
        for tries in range(CONTROL_TRIES, 0, -1):
            try:
                return await self.ask(f"pith.control.{method}", body, CONTROL_SECONDS)
            except TimeoutError:
                if tries == 1:
                    raise

    async def sessions(self, **target):
        """All sessions of a target, on all gateways."""
        found, after = [], ""
        while True:
            try:
                page = await self.control("ListSessions", {"target": target, "page_token": after})
            except NoRespondersError:  # there is no gateway yet
                return found
            found, after = found + page["sessions"], page["next_page_token"]
            if not after:
                return found

    async def to_room(self, rid, route, value, headers={}):
        await self.push(f"pith.group.{token(room(rid))}.push", route, value, headers)

    async def push(self, subject, route, value, headers={}):
        await self.nc.publish(subject, json.dumps(value).encode(), headers={"Pith-Route": route, **headers})


async def report(error):
    print("chat of Pomelo:", str(error) or type(error).__name__, file=sys.stderr)


async def main():
    url, stop = os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), asyncio.Event()
    login = {"user": os.environ.get("NATS_USER"), "password": os.environ.get("NATS_PASSWORD")}
    options = {"max_reconnect_attempts": -1, "drain_timeout": 5, "error_cb": report}
    chat = Chat()
    options["reconnected_cb"] = chat.on_reconnected
    nc = chat.nc = await nats.connect(url, name="chat", **options, **login)  # waits for the server, and reconnects
    subscriptions = [
        await nc.subscribe("pith.event.>", cb=chat.on_event),
        await nc.subscribe("pith.event.session.closed", QUEUE, chat.on_closed),
        await nc.subscribe("pith.event.gateway.lost", QUEUE, chat.on_lost),
        await nc.subscribe("pith.rpc.connector.entryHandler.enter", QUEUE, chat.on_enter),
        await nc.subscribe("pith.rpc.chat.chatHandler.send", QUEUE, chat.on_send),
    ]
    await chat.fill()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("chat of Pomelo: ready", flush=True)
    await stop.wait()
    for subscription in subscriptions:
        await subscription.drain()
    await asyncio.gather(*chat.tasks)
    await nc.drain()


asyncio.run(main())
