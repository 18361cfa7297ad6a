#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A client of ptoolsd, written from proto/PROTOCOL.md alone. It shows many calls in flight on one DEALER and answers
in any order, errors with their facts, deadlines, worker sets, inspect, and how a ZeroMQ client notices that there is
no daemon, or no longer one. It needs python3-zmq and python3-msgpack."""
import argparse, itertools, json, os, sys, time
import msgpack, zmq, zmq.utils.monitor

class Failure(Exception):
    """An error answer, or one of the codes that clients use themselves; facts are all the fields of the answer."""
    def __init__(self, code, name, message, /, **facts):
        super().__init__(f"{name}: {message}")
        self.code, self.name, self.message, self.facts = code, name, message, facts

class Client:
    """A connection to a directory or an endpoint. Start any number of calls, then wait for them in any order."""
    def __init__(self, address=None, timeout=10):
        user = os.getenv("XDG_RUNTIME_DIR", "") + "/ptools"
        address = (address or os.getenv("PTOOLS_ADDRESS") or os.getenv("PTOOLS_DIR")
                   or (user if os.path.exists(user + "/ptoolsd.sock") else "/run/ptools"))
        self.endpoint = address if "://" in address else f"ipc://{os.path.abspath(address)}/ptoolsd.sock"
        self.ids, self.pending = itertools.count(1), {}  # pending: by id, None or the answer as it came
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = self.socket.sndhwm = 0  # neither send nor the exit ever waits
        # Or ZeroMQ would send calls to whatever daemon comes later. "Never", -1, drops answers that are still unread.
        self.socket.reconnect_ivl = 7 * 86400 * 1000
        self.monitor = self.socket.get_monitor_socket(  # its first event is the outcome, its second one the end
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED)
        self.socket.connect(self.endpoint)
        outcome = self.monitor.poll(timeout * 1000) and zmq.utils.monitor.recv_monitor_message(self.monitor)["event"]
        if outcome != zmq.EVENT_HANDSHAKE_SUCCEEDED:
            raise Failure(20, "NO_DAEMON", f"nobody serves {self.endpoint}")

    def send(self, kind, *payload, **body):
        """Send a request; its id is what to wait for. Fields that are None are left out."""
        request = next(self.ids)
        envelope = [1, kind, request, {key: value for key, value in body.items() if value is not None}]
        self.socket.send_multipart([msgpack.packb(frame) for frame in (envelope, *payload)])
        self.pending[request] = None
        return request

    def wait(self, request, timeout=86400):
        """The value and the fields of the answer, or its Failure; after timeout seconds cancels, and TimeoutError."""
        end = time.monotonic() + timeout
        while not self.pending[request]:
            ready = zmq.select([self.socket, self.monitor], [], [], max(0, end - time.monotonic()))[0]
            if self.socket.poll(0):  # first: what came before the connection ended still counts
                envelope, *payload = self.socket.recv_multipart()
                _, kind, answered, body = msgpack.unpackb(envelope)
                if answered in self.pending or answered == 0:  # 0: about the connection, so about this request too
                    self.pending[answered or request] = kind, body, payload
            elif ready:  # the event is left there, for whoever waits next
                raise Failure(24, "LOST", f"the connection to {self.endpoint} ended before the answer")
            else:
                del self.pending[request], self.pending[self.send("cancel", request=request)]  # drop both answers
                raise TimeoutError(f"request {request} was not answered in {timeout} s")
        kind, body, payload = self.pending.pop(request)
        if kind == "error":
            raise Failure(body["code"], body["name"], body["message"], **body)
        options = {"strict_map_key": False, "unicode_errors": "surrogateescape"}  # a function may return anything
        return msgpack.unpackb(payload[0], **options) if payload else None, body

    def start(self, function, *args, set=None, worker=None, deadline_ms=None):
        return self.send("call", args, function=function, set=set, worker=worker, deadline_ms=deadline_ms)
    def call(self, function, *args, timeout=86400, **options):
        return self.wait(self.start(function, *args, **options), timeout)
    def hello(self):  # the daemon does the check: VERSION, if it does not speak version 1
        return self.wait(self.send("hello", versions=[1, 1], client="client.py"))[1]
    def inspect(self, what):
        return self.wait(self.send("inspect", what=what))[0]
    def create_set(self, workers, mode="rr", name=None):
        return self.wait(self.send("set-create", workers=workers, mode=mode, name=name))[1]["set"]

def demo(client):
    for request in [client.start("math.square", n) for n in range(1, 11)]:  # all have started before the first wait
        print(client.wait(request)[0])
    ring = client.create_set([worker["id"] for worker in client.inspect("workers")])
    for n in range(1, 5):
        print("worker", client.call("math.square", n, set=ring)[1]["worker"])

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Call a function of ptoolsd and print its result as JSON.")
    parser.add_argument("--dir", help="the daemon's directory, or a ZeroMQ endpoint")
    parser.add_argument("--deadline-ms", type=int)
    parser.add_argument("--demo", action="store_true", help="make some calls of math.square instead")
    parser.add_argument("function", nargs="?", metavar="FUNCTION")
    parser.add_argument("args", nargs="*", metavar="JSON-ARG", type=json.loads)
    options = parser.parse_intermixed_args()
    if options.demo == bool(options.function):
        parser.error("either FUNCTION or --demo")
    try:
        client = Client(options.dir)
        client.hello()
        if options.demo:
            sys.exit(demo(client))
        value, _ = client.call(options.function, *options.args, deadline_ms=options.deadline_ms)
        print(json.dumps(value, default=bytes.hex))
    except (Failure, zmq.ZMQError, ValueError, OverflowError) as error:
        sys.exit(f"client.py: {error}")
