"""Rooms of a lobby as an ordinary gRPC service. Pith calls its methods: the clients' JSON arrives as these messages,
the facts about the session as metadata, and changes of the session go back as metadata."""
import itertools
import json
import os
import signal
import sys
import threading
import time
from concurrent import futures
from pathlib import Path
from urllib.parse import quote, unquote

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

# The code of the messages is generated from the .proto at the start, not beforehand.
sys.path.insert(0, str(Path(__file__).parent / "proto"))
rooms_pb2, rooms_pb2_grpc = grpc.protos_and_services("lobby/v1/rooms.proto")


def fact(context, name):
    """What the gateway sends about the session: sid, uid, client-ip, route, seq, data. Some bytes come as %XX."""
    for key, value in context.invocation_metadata():
        if key == "x-pith-" + name:
            return unquote(value)
    return ""


def change(context, **changes):
    """Changes the session; it takes effect before the client gets its answer."""
    context.send_initial_metadata([("x-pith-" + name, quote(value, safe="")) for name, value in changes.items()])


def refuse(context, code, text, *details):
    """Ends a call with a status whose details the client sees as fields of its error."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=code, message=text, details=packed)))


class Rooms(rooms_pb2_grpc.RoomsServicer):
    def __init__(self):
        self.joined = itertools.count(1)

    def Join(self, request, context):
        empty = [field for field in ("name", "room") if not getattr(request, field)]
        if empty:
            violation = error_details_pb2.BadRequest.FieldViolation
            refuse(context, code_pb2.INVALID_ARGUMENT, "name and room are needed", error_details_pb2.BadRequest(
                field_violations=[violation(field=field, description="must not be empty") for field in empty]))
        if request.room == "closed":
            refuse(context, code_pb2.FAILED_PRECONDITION, "this room is closed",
                   error_details_pb2.ErrorInfo(reason="ROOM_CLOSED", domain="lobby"))
        # A demonstration: a real service checks who is there.
        change(context, bind=request.name, set=json.dumps({"room": request.room}),
               join=json.dumps(["room." + request.room]))
        response = rooms_pb2.JoinResponse(room=request.room, mode=request.mode, number=next(self.joined))
        response.joined_at.GetCurrentTime()
        return response

    def Leave(self, request, context):
        room = json.loads(fact(context, "data") or "{}").get("room", "")  # there because the route forwards it
        if not room:
            refuse(context, code_pb2.FAILED_PRECONDITION, "join a room first",
                   error_details_pb2.ErrorInfo(reason="NOT_IN_ROOM", domain="lobby"))
        change(context, set='{"room":null}', leave=json.dumps(["room." + room]))
        return rooms_pb2.LeaveResponse(room=room)

    def Countdown(self, request, context):
        if not 1 <= getattr(request, "from") <= 100:
            refuse(context, code_pb2.OUT_OF_RANGE, "from is 1 to 100")
        over = threading.Event()
        context.add_callback(over.set)  # the client has left, or the timeout is over
        for left in range(getattr(request, "from"), -1, -1):
            yield rooms_pb2.CountdownTick(left=left)
            if left > 0 and over.wait(request.every.ToTimedelta().total_seconds()):
                return


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    rooms_pb2_grpc.add_RoomsServicer_to_server(Rooms(), server)
    ready = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(ready, server)
    if os.environ.get("REFLECTION") != "off":
        reflection.enable_server_reflection(["lobby.v1.Rooms", reflection.SERVICE_NAME], server)
    address = os.environ.get("ADDR", "127.0.0.1:9000")
    port = server.add_insecure_port(address)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    ready.set("", health_pb2.HealthCheckResponse.SERVING)
    shown = address if address.startswith("unix:") else f"{address.rsplit(':', 1)[0]}:{port}"
    print("rooms on gRPC: listening on", shown, flush=True)
    stop.wait()
    # stop() cancels calls that have come and have not begun, so the gateway sends new ones elsewhere first.
    ready.enter_graceful_shutdown()
    time.sleep(1)
    server.stop(5).wait()


if __name__ == "__main__":
    main()
