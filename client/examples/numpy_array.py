#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An array of ptoolsd as an array of numpy, in place: what is written here the workers see, and the other way round.
Written from proto/PROTOCOL.md, sections 4, 12 and 13; the connection is that of client.py, which lies beside it.
Arrays of the kind "object" do not exist, all other types of numpy that C knows do. It needs python3-zmq,
python3-msgpack and python3-numpy."""
import argparse, mmap, os, socket, struct, sys
import numpy
from client import Client, Failure

ASK = struct.Struct("=II16sQQQIIII72s72s")             # magic kind token id - - index flags owner - name prefix
TELL = struct.Struct("=IIQQQQIIII8QIiII72s72s256s")    # magic code id bytes mapped offset type order ndims flags dims ...
MAGIC, ARRAY, OWN = 0x31646670, 1, 2**32 - 1
TYPES = ("int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64 complex64 complex128 bool").split()

class Arrays:
    """The door of descriptors of a client's connection."""
    def __init__(self, client):
        about = client.hello()
        if "door" not in about:
            raise Failure(25, "TRANSPORT", "this daemon hands out no descriptors here")
        self.client, self.token = client, about["token"]
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.door.connect(about["door"])

    def create(self, type, dims, **how):
        """A new array, all 0: its number and numpy's look at it."""
        number = self.client.wait(self.client.send("array-create", type=type, dims=dims, **how))[1]["array"]
        return number, self.map(number)

    def map(self, number):
        self.door.send(ASK.pack(MAGIC, ARRAY, self.token, number, 0, 0, 0, 0, OWN, 0, b"", b""))
        packet, descriptors, _, _ = socket.recv_fds(self.door, TELL.size, 1)
        told = TELL.unpack(packet)
        code, nbytes, mapped, offset, type, order, ndims = told[1], *told[3:9]
        if code:
            raise Failure(code, "NO_ARRAY", told[-1].split(b"\0")[0].decode())
        memory = mmap.mmap(descriptors[0], mapped, offset=offset)
        os.close(descriptors[0])  # the mapping stays
        elements = numpy.frombuffer(memory, TYPES[type - 1], nbytes // numpy.dtype(TYPES[type - 1]).itemsize)
        return elements.reshape(told[10:10 + ndims], order="F" if order else "C")

    def unlink(self, number):
        self.client.wait(self.client.send("array-unlink", array=number))

def part(number, whole, view):
    """What a function gets when numpy's view of the whole array is to be its argument."""
    offset = view.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return {"$array": {"id": number, "offset": offset, "dims": view.shape, "strides": view.strides}}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Share an array with the workers: fill half of it here, half there.")
    parser.add_argument("--dir", help="the daemon's directory")
    try:
        client = Client(parser.parse_args().dir)
        arrays = Arrays(client)
        number, plate = arrays.create("float64", [100, 1000])
        plate[:50] = 1
        client.call("arrays.fill", part(number, plate, plate[50:]), 0.25)  # a worker writes, we see it
        print("numpy:", plate.sum(), "worker:", client.call("arrays.sum", {"$array": {"id": number}})[0])
        column = plate[::2, 7]  # every second row of a column: 25 of ours, 25 of the worker's
        print("numpy:", column.sum(), "worker:", client.call("arrays.sum", part(number, plate, column))[0])
        arrays.unlink(number)
    except (Failure, OSError) as error:
        sys.exit(f"numpy_array.py: {error}")
