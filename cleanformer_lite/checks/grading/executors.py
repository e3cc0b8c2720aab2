"""Grade on this machine, or on the workers of a Dask cluster."""

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeVar

from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.runner import Runner

Item = TypeVar("Item")
Out = TypeVar("Out")
RETRIES = 5


class GradesElsewhere(Protocol):
    """Anything that can do work with a `Runner` on many items."""

    @property
    def limits(self) -> Limits: ...

    def map(
        self, do: Callable[[Runner, Item], Out], items: Iterable[Item]
    ) -> Iterator[tuple[int, Out]]:
        """Yield each item's number and result, in the order in which they are done."""
        ...

    def close(self) -> None: ...


class LocalExecutor:
    """Do the work on this machine, with as many items at once as the runner has slots."""

    def __init__(self, runner: Runner) -> None:
        self.limits = runner.limits
        self.runner = runner

    def map(
        self, do: Callable[[Runner, Item], Out], items: Iterable[Item]
    ) -> Iterator[tuple[int, Out]]:
        """Yield each item's number and result, in the order in which they are done."""
        pool = ThreadPoolExecutor(self.runner.jobs)
        try:
            yield from _completed(
                pool, lambda item: do(self.runner, item), items, self.runner.jobs + 1
            )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            self.runner.close()  # or the answers that still run would be waited for
            raise
        pool.shutdown()

    def close(self) -> None:
        """Stop every process that was started."""
        self.runner.close()


class DaskExecutor:
    """Do the work on a Dask cluster: at `address`, or a local one of `jobs` workers.

    If a worker dies, another does its item again.

    Raises: ImportError if Dask is not installed, OSError if nothing answers at the address.
    """

    def __init__(
        self,
        limits: Limits,
        jobs: int = 1,
        isolation: str = "auto",
        address: str | None = None,
    ) -> None:
        from distributed import Client, LocalCluster

        self.limits = limits
        self.isolation = isolation
        local: Any = LocalCluster
        client: Any = Client
        options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
        self.cluster = local(n_workers=jobs, **options) if address is None else None
        self.client = client(self.cluster or address, set_as_default=False)

    def map(
        self, do: Callable[[Runner, Item], Out], items: Iterable[Item]
    ) -> Iterator[tuple[int, Out]]:
        """Yield each item's number and result, in the order in which they are done."""
        pool = self.client.get_executor(pure=False, retries=RETRIES)
        room = 2 * max(1, sum(self.client.nthreads().values()))
        work = _OnWorker(do, self.limits, self.isolation)
        try:
            yield from _completed(pool, work, items, room)
        finally:
            pool.shutdown(wait=False)

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        self.client.close()
        if self.cluster is not None:
            self.cluster.close()


class _OnWorker:
    """The work sent to a Dask worker, which keeps one runner for each thread."""

    def __init__(self, do: Callable[[Runner, Any], Any], limits: Limits, isolation: str) -> None:
        self.do, self.limits, self.isolation = do, limits, isolation

    def __call__(self, item: Any) -> Any:
        return self.do(_runner_here(self.limits, self.isolation), item)


_kept = threading.local()


def _runner_here(limits: Limits, isolation: str) -> Runner:
    """Return this thread's runner, started at its first item; it ends with the worker."""
    wanted = (os.getpid(), socket.gethostname(), limits, isolation)
    if getattr(_kept, "wanted", None) != wanted:
        if hasattr(_kept, "runner"):
            _kept.runner.close()
        _kept.runner, _kept.wanted = Runner(limits, isolation=isolation), wanted
    runner: Runner = _kept.runner
    return runner


def _completed(
    pool: Executor, work: Callable[[Item], Out], items: Iterable[Item], room: int
) -> Iterator[tuple[int, Out]]:
    """Hand items to a pool, no more than it has room for, and yield results as they come."""
    waiting: dict[Future[Out], int] = {}
    numbered = enumerate(items)
    more = True
    while more or waiting:
        while more and len(waiting) < room:
            entry = next(numbered, None)
            if entry is None:
                more = False
            else:
                waiting[pool.submit(work, entry[1])] = entry[0]
        if waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
