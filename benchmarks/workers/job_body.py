"""What every system's jobs do, and how a worker tells the driver: lines appended to one file.

`n <count> <time>` each 100 started jobs and at the first; `l <job> <time>` when a job of the latency phase starts;
`s|e <job> <pid> <time>` when a two-second job starts and ends. A line is one write, so processes may share the file.
"""

import asyncio
import itertools
import json
import os
import sys
import time

STEP = 100

_out = -1
_counter = itertools.count(1)


def report_to(path):
    """Open the file that lines go to."""
    global _out  # noqa: PLW0603 - one process, one file
    _out = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)


def _count():
    count = next(_counter)
    if count == 1 or count % STEP == 0:
        os.write(_out, b"n %d %.6f\n" % (count, time.time()))


def _mark(what, job):
    os.write(_out, b"%s %d %d %.6f\n" % (what, job, os.getpid(), time.time()))


def body(kind, job):
    """The job, in a thread."""
    if kind == "noop":
        _count()
    elif kind == "five_ms":
        time.sleep(0.005)
    elif kind == "latency":
        os.write(_out, b"l %d %.6f\n" % (job, time.time()))
    elif kind == "two_seconds":
        _mark(b"s", job)
        time.sleep(2)
        _mark(b"e", job)


async def async_body(kind, job):
    """The job, in an event loop."""
    if kind == "two_seconds":
        _mark(b"s", job)
        await asyncio.sleep(2)
        _mark(b"e", job)
    else:
        body(kind, job)


async def paced(count, rate, send):
    """Await `send(job)` at a fixed rate; prints when each call began and ended."""
    sent = []
    start = time.time() + 0.2
    for job in range(count):
        await asyncio.sleep(max(0.0, start + job / rate - time.time()))
        began = time.time()
        await send(job)
        sent.append((job, began, time.time()))
    print(json.dumps(sent), flush=True)


def main(actions):
    """`script URL ACTION ARGS…`: load COUNT KIND | paced COUNT RATE | work PROFILE OUT | setup."""
    url, action, *arguments = sys.argv[1:]
    if action == "work":
        report_to(arguments.pop())
    actions[action](url, *arguments)
