"""A backend of Pith on gRPC: it answers hello.world.greet, and pushes onGreet to the player who asked."""
import json
import os
import signal
import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

# The code of the messages is made from proto/ at the start, not beforehand.
sys.path.insert(0, str(Path(__file__).parent / "proto"))
session_pb2 = grpc.protos("pith/v1/session.proto")
backend_pb2, backend_pb2_grpc = grpc.protos_and_services("pith/v1/backend.proto")


def body(value):
    return session_pb2.Body(bytes=json.dumps(value).encode())


def fail(code, reason, text):
    """What the client gets as {"code":400,"reason":"BAD_BODY","msg":"…"}."""
    return backend_pb2.Reply(error=session_pb2.Error(code=code, reason=reason, message=text))


def name_in(text):
    try:
        name = json.loads(text)["name"]
    except (ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


class Backend(backend_pb2_grpc.BackendServicer):
    def Handle(self, request, context):
        """Called for each message; the gateway calls it for many at once."""
        if request.route != "hello.world.greet":
            return fail(404, "NO_ROUTE", f"no such route: {request.route}")
        name = name_in(request.body)
        if not name:
            return fail(400, "BAD_BODY", 'expected {"name":"ann"}')
        # Without a target it goes to the session that has asked. Target(uids=…) and Target(groups=…) reach others.
        push = session_pb2.Push(route="onGreet", body=body({"text": f"welcome, {name}"}))
        # A login binds the session to a uid, which the gateway then sends with each message of the player:
        # Reply(…, patch=session_pb2.Patch(uid=name))
        return backend_pb2.Reply(body=body({"hello": name}), pushes=[push])


def main():
    """Listens on ADDR until SIGTERM or Ctrl-C."""
    address = os.environ.get("ADDR", "127.0.0.1:9000")
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    backend_pb2_grpc.add_BackendServicer_to_server(Backend(), server)
    ready = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(ready, server)
    port = server.add_insecure_port(address)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    ready.set("", health_pb2.HealthCheckResponse.SERVING)
    print(f"hello: listening on {address.rsplit(':', 1)[0]}:{port}", flush=True)
    stop.wait()
    # stop() cancels calls that have come and have not begun, so the gateway sends new ones elsewhere first.
    ready.enter_graceful_shutdown()
    time.sleep(1)
    server.stop(5).wait()


if __name__ == "__main__":
    main()
