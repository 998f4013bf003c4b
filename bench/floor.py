"""The floor to beat: a bare Starlette application with one guarded UPDATE per request on psycopg, and nothing else.

It checks no token, no operator, no form of the object, keeps no raw copy, and tells nobody of the change.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

POOL: AsyncConnectionPool


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    global POOL
    async with AsyncConnectionPool(os.environ["FLOOR_DSN"], min_size=12, max_size=12, kwargs={"autocommit": True}) as POOL:
        yield


async def patch(request: Request) -> JSONResponse:
    body = await request.json()
    path = request.path_params
    moment = datetime.fromisoformat(body["last_updated"])
    async with POOL.connection() as conn:
        done = await conn.execute(
            "UPDATE floor_status SET status = %s, last_updated = %s WHERE location = %s AND uid = %s AND last_updated <= %s",
            (body["status"], moment, path["location"], path["uid"], moment),
        )
    code = 1000 if done.rowcount else 2001
    return JSONResponse({"status_code": code, "timestamp": body["last_updated"]})


app = Starlette(routes=[Route("/ocpi/2.2.1/locations/FI/{party}/{location}/{uid}", patch, methods=["PATCH"])], lifespan=lifespan)
