#!/usr/bin/python3
"""httpx as a peer: prints "seconds N", without what Python's own start takes.

peer_httpx.py URL COUNT CONCURRENCY      URL?1 to URL?COUNT, each read whole
"""

import asyncio
import sys
import time

import httpx


async def get(url, count, concurrency):
    numbers = iter(range(1, count + 1))
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=60) as client:

        async def pull():
            for number in numbers:
                (await client.get(f"{url}?{number}")).raise_for_status()

        begin = time.monotonic()
        await asyncio.gather(*(pull() for _ in range(min(concurrency, count))))
        print(f"seconds {time.monotonic() - begin:.4f}")


asyncio.run(get(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
