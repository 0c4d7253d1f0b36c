"""Whether a connection keeps its session, or a pooler between it and the server hands the session on to others."""

import contextlib
import selectors
import time
import weakref
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus, TransactionStatus

from rehome.errors import Refused

ASK = "SELECT pg_catalog.pg_backend_pid()"
ROUNDS = 5
"""A pooler that others keep busy may give the same session again by chance."""
WAIT_S = 5
"""How long another connection may take to get a session while this one has its own."""

Driver = psycopg.Connection[Any]

kept: weakref.WeakKeyDictionary[Driver, int] = weakref.WeakKeyDictionary()
"""Connections that were asked and keep their session, and the server's process of each."""


def refuse_handed_on(driver: Driver) -> None:
    """Before anything is left on a session, such as a setting or a lock: raises Refused where it is not this
    connection's own. Each connection is asked once, by one query where nothing is between it and the server; not in a
    transaction, which has its session.
    """
    if driver in kept or driver.info.transaction_status != TransactionStatus.IDLE:
        return
    process = process_of(driver)
    # At the login, a server names its process, and a pooler a number of its own.
    if process != driver.info.backend_pid and is_handed_on(driver):
        raise Refused(
            f"The pooler at {driver.info.host}:{driver.info.port} hands sessions on to other clients between "
            "transactions, and they would get the locks and settings of this command.",
            "Connect to the server itself, or let the pooler pool by session (PgBouncer's pool_mode = session).",
        )
    kept[driver] = process


def known_process(driver: Driver) -> int:
    """Without asking, for another thread may be using the connection; of one that no pooler is in front of, or that was
    asked before.
    """
    return kept.get(driver, driver.info.backend_pid)


def is_handed_on(driver: Driver) -> bool:
    """Of connections that keep their sessions, each has one process of the server, and no two have the same."""
    # Asked first, it has its session before the other one takes the last of a pool.
    own, others = {process_of(driver)}, set[int]()
    with contextlib.closing(beside(driver)) as another:
        for _ in range(ROUNDS):
            another.pgconn.send_query(ASK.encode())
            # Twice, for a pooler may take its sessions in turn.
            own |= {process_of(driver), process_of(driver)}
            answer = answer_of(another)
            # The other one asked before this one, and still waits: the pool is used up, and this one keeps its session.
            if answer is None:
                break
            others.add(answer)
    return len(own) > 1 or len(others) > 1 or not own.isdisjoint(others)


def process_of(driver: Driver) -> int:
    ((process,),) = driver.execute(ASK, prepare=False).fetchall()
    return int(process)


def beside(driver: Driver) -> Driver:
    """Another connection of the same parameters, to the same address."""
    info = driver.info
    place = {"host": info.host, "hostaddr": info.hostaddr or None, "port": info.port, "password": info.password or None}
    conninfo = make_conninfo("", **{**info.get_parameters(), **place, "connect_timeout": WAIT_S})
    return psycopg.connect(conninfo, autocommit=True)


def answer_of(driver: Driver) -> int | None:
    """What `ASK` returned; None where it waits for a session for too long."""
    asked, ends = driver.pgconn, time.monotonic() + WAIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(asked.socket, selectors.EVENT_READ)
        while asked.is_busy():
            if not selector.select(max(ends - time.monotonic(), 0)):
                return None
            asked.consume_input()
    result = asked.get_result()
    if result is None or result.status != ExecStatus.TUPLES_OK:
        raise psycopg.OperationalError(asked.get_error_message())
    process = int(result.get_value(0, 0) or b"")
    while asked.get_result():
        pass
    return process
