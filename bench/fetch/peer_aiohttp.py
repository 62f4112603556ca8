#!/usr/bin/python3
"""aiohttp with uvloop as a peer: prints "seconds N", without what Python's own start takes.

    peer_aiohttp.py get|manual URL COUNT CONCURRENCY [CA-FILE]   URL?1 to URL?COUNT, each read whole
    peer_aiohttp.py file URL FILE manual|tuned [sha256]      one body into a file

A fixed number of tasks pull from one iterator: quicker, and flatter, than a task for each URL.
"""

import asyncio
import hashlib
import ssl
import sys
import time

import aiohttp
import uvloop


def fail(text):
    sys.exit(f"peer_aiohttp.py: {text}")


async def get(style, url, count, concurrency, ca_file=None):
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    numbers = iter(range(1, count + 1))

    # The jar that keeps nothing saves a quarter, but few know it: "manual" is without. A connector of
    # its own lifts the limit of 100.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency, ssl=context),
        cookie_jar=None if style == "manual" else aiohttp.DummyCookieJar(),
    ) as session:

        async def pull():
            for number in numbers:
                async with session.get(f"{url}?{number}") as response:
                    await response.read()
                    if response.status != 200:
                        fail(f"status {response.status}")

        begin = time.monotonic()
        await asyncio.gather(*(pull() for _ in range(min(concurrency, count))))
        print(f"seconds {time.monotonic() - begin:.4f}")


async def file(url, path, style, digest=None):
    # As aiohttp's manual writes a body to a file; or with buffers that were tried out for this.
    settings = {"read_bufsize": 8 << 20} if style == "tuned" else {}
    check = hashlib.sha256() if digest else None
    async with aiohttp.ClientSession(**settings) as session:
        begin = time.monotonic()
        async with session.get(url) as response:
            if response.status != 200:
                fail(f"status {response.status}")
            content = response.content
            chunks = content.iter_any() if style == "tuned" else content.iter_chunked(64 << 10)
            with open(path, "wb", buffering=0) as out:
                async for chunk in chunks:
                    out.write(chunk)
                    if check:
                        check.update(chunk)
        print(f"seconds {time.monotonic() - begin:.4f}")


uvloop.install()
if sys.argv[1] in ("get", "manual"):
    asyncio.run(get(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:]))
else:
    asyncio.run(file(*sys.argv[2:]))
