"""`python -m services.aggregator`: one worker of the aggregator, until SIGTERM or the first error."""

from __future__ import annotations

# Before anything asks for an event loop: Faust's threads take theirs from the policy that this sets.
import mode.loop.uvloop  # noqa: F401  isort: skip

import asyncio
import logging
import os
import signal
from typing import NoReturn

from aiokafka.errors import KafkaError, ProducerFenced

from services.adapters import logs
from services.adapters.keys import Keyring, KeysError
from services.adapters.metrics import Metrics
from services.adapters.topics import TopicsError, ensure_topics
from services.adapters.web import Readiness, create_app, listening
from services.aggregator.app import Aggregator
from services.aggregator.errors import AggregatorError
from services.aggregator.openapi import DOCUMENT
from services.aggregator.settings import AggregatorSettings
from services.aggregator.tables import add_table_routes
from services.core.pricing import PriceBook
from services.core.scope import Level

MAX_BODY_BYTES = 1024
STOP_S = 30.0
REFUSED = 2
FAILED = 3

log = logs.logger(__name__)


async def serve(settings: AggregatorSettings) -> None:
    """Run one worker until SIGTERM or SIGINT. Raises what keeps it from starting; an error later ends the process."""
    keyring = Keyring.load(settings.keys_file)
    await ensure_topics(settings)
    metrics = Metrics()
    worker = Aggregator(settings, PriceBook.bundled(), metrics)
    app = create_app(
        "aggregator",
        keyring=keyring,
        readiness=lambda: readiness(worker, metrics),
        openapi=DOCUMENT,
        metrics=metrics,
        max_body_bytes=MAX_BODY_BYTES,
    )
    add_table_routes(app, worker.assignment.opened)
    async with listening(app, settings):
        try:
            await _until_stopped(worker)
        except Exception as error:  # noqa: BLE001 - the supervisor restarts whatever ended; the log keeps why
            end_process(explain(error))


async def _until_stopped(worker: Aggregator) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping, working = asyncio.create_task(stop.wait()), asyncio.create_task(_work(worker))
    done, _ = await asyncio.wait([stopping, working], return_when=asyncio.FIRST_COMPLETED)
    if working in done:
        working.result()
    log.info("stopping", seconds_max=STOP_S)
    async with asyncio.timeout(STOP_S):
        await worker.stop()
    working.cancel()


async def _work(worker: Aggregator) -> None:
    await worker.start()
    await worker.ended()


def readiness(worker: Aggregator, metrics: Metrics) -> Readiness:
    """Ready once every assigned partition is open. A worker that the group left without any is a spare, and ready."""
    opened, pending = worker.assignment.opened(), worker.assignment.pending()
    for level in Level:
        balances = sum(len(partition.state.tables[level]) for partition in opened.values())
        metrics.gauge("spendgate_aggregator_balances", level=level.value).set(balances)
    positions = {str(number): partition.state.position.offset for number, partition in sorted(opened.items())}
    ready = worker.assigned and not pending and not worker.failure.done()
    return Readiness(ready, {"positions": positions, "opening": pending})


def explain(error: Exception) -> int:
    """Log why the process ends, as the last line, and give its exit code."""
    if isinstance(error, AggregatorError | KeysError | TopicsError):
        log.critical("the aggregator refuses to run", reason=type(error).__name__, advice=str(error))
        return REFUSED
    expected = isinstance(error, KafkaError | OSError)
    log.critical(
        "the aggregator failed and must be restarted",
        reason=repr(error),
        fenced=isinstance(error, ProducerFenced),
        exc_info=None if expected else error,
    )
    return FAILED


def end_process(code: int) -> NoReturn:
    """Leave at once, without unwinding: Faust's threads must not keep a dead worker in the group."""
    logging.shutdown()
    os._exit(code)


def main() -> NoReturn:
    """Run the service; exit codes are 0 (stopped in order), 2 (refused to run) and 3 (failed)."""
    settings = AggregatorSettings()
    logs.configure("aggregator", settings.log_level)
    for library in ("faust", "mode"):  # at info they report each of their two dozen parts' comings and goings
        logging.getLogger(library).setLevel(max(logging.getLogger().level, logging.WARNING))
    try:
        asyncio.run(serve(settings))
    except Exception as error:  # noqa: BLE001 - whatever kept it from starting or stopping, the log keeps why
        end_process(explain(error))
    end_process(0)


if __name__ == "__main__":
    main()
