"""
Drawing boards on NATS: who opens one gets what is on it, and then every stroke, none missing and none twice.

One process keeps the boards. Each stroke is a push to the group of its board with the next number, and the answer to
board.show says which number it was taken at; the gateway holds back, drops and passes on what comes in between.
"""
import asyncio
import base64
import json
import os
import re
import secrets
import signal
from urllib.parse import unquote

import nats

EPOCH = secrets.token_hex(4)  # a restart forgets the boards, and begins a new epoch
# So that all of a board fits into one message of NATS.
STROKES_MAX, STROKE_BYTES_MAX, BOARDS_MAX = 1_000, 500, 1_000
BOARD = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Board:
    def __init__(self):
        self.strokes, self.n = [], 0


boards = {}


def board_of(name):
    if name not in boards and len(boards) >= BOARDS_MAX:
        raise Refused("TOO_MANY", f"there are {BOARDS_MAX} boards already")
    return boards.setdefault(name, Board())


def group(board):
    """The group of a board as one token of a subject: its name has a dot, so it is encoded."""
    return "=" + base64.urlsafe_b64encode(f"board.{board}".encode()).decode().rstrip("=")


class Refused(Exception):
    """The client gets 400 with this reason and text."""


async def handle(nc, route, board, body):
    """Returns the answer and its headers. `board` is that of the session's data, as the route forwards it."""
    if route == "board.open":
        name = body.get("board")
        if not isinstance(name, str) or not BOARD.fullmatch(name):
            raise Refused("BAD_BODY", 'expected {"board":"name"}, 1 to 32 of A-Z a-z 0-9 _ -')
        board_of(name)
        patch = {"Pith-Set": json.dumps({"board": name})}
        if board and board != name:
            patch["Pith-Leave"] = json.dumps([f"board.{board}"])
        return {"code": 200}, patch
    if not board:
        raise Refused("NO_BOARD", "open a board first: board.open")
    here = board_of(board)
    if route == "board.show":
        return {"strokes": here.strokes}, {"Pith-From": f"{EPOCH}.{here.n}"}
    if route == "board.draw":
        here.n += 1
        here.strokes = [*here.strokes, body][-STROKES_MAX:]
        headers = {"Pith-Route": "onDraw", "Pith-Cursor": f"{EPOCH}.{here.n}"}
        await nc.publish(f"pith.group.{group(board)}.push", json.dumps(body).encode(), headers=headers)
        return {"code": 200}, {}
    raise Refused("NO_ROUTE", "no such route")


def read_body(data):
    try:
        body = json.loads(data) if len(data) <= STROKE_BYTES_MAX else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused("BAD_BODY", f"expected a JSON object of at most {STROKE_BYTES_MAX} bytes")
    return body


async def on_message(nc, msg):
    facts = {name.lower(): unquote(value) for name, value in (msg.headers or {}).items()}
    try:
        body = read_body(msg.data)
        board = json.loads(facts.get("pith-data", "{}")).get("board", "")
        answer, headers = await handle(nc, msg.subject.removeprefix("pith.rpc."), board, body)
    except Refused as refused:
        reason, text = refused.args
        answer = None
        headers = {"Nats-Service-Error-Code": "400", "Nats-Service-Error": text, "Pith-Error-Reason": reason}
    if msg.reply:
        await nc.publish(msg.reply, b"" if answer is None else json.dumps(answer).encode(), headers=headers)


async def main():
    stop = asyncio.Event()
    login = {"user": os.environ.get("NATS_USER"), "password": os.environ.get("NATS_PASSWORD")}
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), max_reconnect_attempts=-1, **login)

    async def take(msg):
        await on_message(nc, msg)

    await nc.subscribe("pith.rpc.board.>", cb=take)
    await nc.flush()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("board on NATS: ready", flush=True)
    await stop.wait()
    await nc.drain()


asyncio.run(main())
