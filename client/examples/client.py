#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A client of ptoolsd, written from proto/PROTOCOL.md alone, with python3-zmq and python3-msgpack.

It shows a DEALER with many calls in flight and answers matched by id, errors with their facts, deadlines, inspect,
worker sets, and how a ZeroMQ client notices that there is no daemon, or no longer one.
"""
import argparse, collections, itertools, json, os, sys, time
import msgpack, zmq
from zmq.utils.monitor import recv_monitor_message

Answer = collections.namedtuple("Answer", "fields value")  # task, worker, ...; what the function returned

class Failure(Exception):
    """An error answer, or one of the codes that clients use themselves; facts are all the fields of the answer."""
    def __init__(self, code, name, message, /, **facts):
        super().__init__(f"{name}: {message}")
        self.code, self.name, self.message, self.facts = code, name, message, facts

def default_address():
    user = os.environ.get("XDG_RUNTIME_DIR", "") + "/ptools"
    return (os.environ.get("PTOOLS_ADDRESS") or os.environ.get("PTOOLS_DIR")
            or (user if os.path.exists(user + "/ptoolsd.sock") else "/run/ptools"))

class Client:
    """A connection to a directory or an endpoint. Start any number of calls, then wait for them in any order."""
    def __init__(self, address=None, timeout=10):
        address = address or default_address()
        self.endpoint = address if "://" in address else f"ipc://{os.path.abspath(address)}/ptoolsd.sock"
        self.ids, self.pending = itertools.count(1), {}  # pending: by id, None or the answer as it came
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = self.socket.sndhwm = self.socket.sndtimeo = 0  # send queues or fails, but never waits
        self.socket.reconnect_ivl = -1  # or ZeroMQ would send calls to whatever daemon comes later
        self.monitor = self.socket.get_monitor_socket(  # its first event is the outcome, its second one the end
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED)
        self.socket.connect(self.endpoint)
        if (not self.monitor.poll(timeout * 1000)
                or recv_monitor_message(self.monitor)["event"] != zmq.EVENT_HANDSHAKE_SUCCEEDED):
            raise Failure(20, "NO_DAEMON", f"nobody serves {self.endpoint}")

    def send(self, kind, body, *payload):
        """Send a request; its id is what to wait for. Fields that are None are left out."""
        envelope = [1, kind, next(self.ids), {key: value for key, value in body.items() if value is not None}]
        self.socket.send_multipart([msgpack.packb(frame) for frame in (envelope, *payload)])
        self.pending[envelope[2]] = None
        return envelope[2]

    def wait(self, request, timeout=86400):
        """The Answer to a request, or its Failure. After timeout seconds it is cancelled: TimeoutError."""
        end = time.monotonic() + timeout
        while not self.pending[request]:
            ready = zmq.select([self.socket, self.monitor], [], [], max(0, end - time.monotonic()))[0]
            if self.socket.poll(0):  # first: what came before the connection ended still counts
                envelope, *payload = self.socket.recv_multipart()
                _, kind, answered, body = msgpack.unpackb(envelope)[:4]
                if answered in self.pending or answered == 0:  # 0: about the connection, so about this request too
                    self.pending[answered or request] = kind, body, payload
            elif ready:  # the event is left there for the other requests
                raise Failure(24, "LOST", f"the connection to {self.endpoint} ended before the answer")
            else:
                del self.pending[request], self.pending[self.send("cancel", {"request": request})]  # forget both
                raise TimeoutError(f"request {request} was not answered in {timeout} s")
        kind, body, payload = self.pending.pop(request)
        if kind == "error":
            raise Failure(body["code"], body["name"], body["message"], **body)
        return Answer(body, msgpack.unpackb(payload[0], strict_map_key=False) if payload else None)

    def start(self, function, *args, set=None, worker=None, deadline_ms=None):
        return self.send("call", dict(function=function, set=set, worker=worker, deadline_ms=deadline_ms), args)

    def call(self, function, *args, timeout=86400, **options):
        return self.wait(self.start(function, *args, **options), timeout)

    def hello(self):
        return self.wait(self.send("hello", {"versions": [1, 1], "client": "client.py 1"})).fields  # or Failure VERSION

    def inspect(self, what):
        return self.wait(self.send("inspect", {"what": what})).value

    def create_set(self, workers, mode="rr", name=None):
        return self.wait(self.send("set-create", {"workers": workers, "mode": mode, "name": name})).fields["set"]

def demo(client):
    for request in [client.start("math.square", n) for n in range(1, 11)]:  # all ten are under way before the first wait
        print(client.wait(request).value)
    workers = client.create_set([worker["id"] for worker in client.inspect("workers")])
    for n in range(1, 5):
        print("worker", client.call("math.square", n, set=workers).fields["worker"])

def main():
    parser = argparse.ArgumentParser(description="Call a function of a ptoolsd.")
    parser.add_argument("--dir", help="the daemon's directory, or a ZeroMQ endpoint")
    parser.add_argument("--deadline-ms", type=int)
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("function", nargs="?")
    parser.add_argument("args", nargs="*", metavar="JSON-ARG", type=json.loads)
    options = parser.parse_intermixed_args()
    if options.demo == bool(options.function):
        parser.error("one of FUNCTION and --demo, please")
    try:
        client = Client(options.dir)
