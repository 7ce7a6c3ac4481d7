"""Real Tritons with the models of this folder, to be killed, stopped and started again."""

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from local_stack import backend, places
from local_stack.install import Installed, setup
from local_stack.ports import HOST, Ports, free_ports
from local_stack.triton import Triton
from rig.goals import say

_HERE = Path(__file__).resolve().parents[1]
REPOSITORY = _HERE / "model_repository"
FAILING = _HERE / "sick_models/failing"
HANGING = _HERE / "sick_models/hanging"
"""Where the model ``SLOW`` fails at once, and where it never answers."""
BACKENDS = places.TRITON_HOME / "proof-backends"
"""With our backend as it is built for these models."""
CONSTANT = "constant"
SUBJECT = "constant-subject"
SLOW = "constant-200ms"
SLOW_SECONDS = 0.2
"""What one answer of the model ``SLOW`` takes; it gives one at a time."""


class Replica:
    """One Triton at fixed addresses, through its lives."""

    def __init__(
        self, installed: Installed, models: Sequence[str], log: Path, repository: Path
    ) -> None:
        """Starts it."""
        self._installed = installed
        self._models = models
        self._log = log
        self._repository = repository
        self._ports = Ports(*free_ports(3))
        self._triton = self._begin()
        self._expected = True
        """Whether it is to run."""

    @property
    def address(self) -> str:
        """Where the gateway reaches it."""
        return f"http://{HOST}:{self._ports.grpc}"

    def _begin(self) -> Triton:
        return Triton(
            self._installed, self._ports, self._log, self._models, self._repository, BACKENDS
        )

    def kill(self) -> None:
        """Ends it at once, without a word to its clients."""
        self._expected = False
        self._triton.send(signal.SIGKILL)
        self._triton.stop()

    def pause(self) -> None:
        """Stops its process; its connections stay open and nothing answers."""
        self._triton.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._triton.send(signal.SIGCONT)

    async def end(self) -> None:
        """Asks it to end, and waits until it has."""
        self._expected = False
        await asyncio.to_thread(self._triton.stop)

    def start(self) -> None:
        """Starts it again after its end."""
        # Not in a thread: the kernel would end it with that.
        self._triton = self._begin()
        self._expected = True

    def say_if_ended(self) -> None:
        """Tells of an end that nobody asked for."""
        if self._expected and (status := self._triton.exit_status()) is not None:
            say(f"a Triton ended by itself, status {status}. {self._triton.last_words()}")

    @property
    def port(self) -> int:
        """Of its address."""
        return self._ports.grpc

    async def busy(self) -> float:
        """The seconds that its models have worked, as it counts them itself."""
        return await self._counted("nv_inference_compute_infer_duration_us{") / 1e6

    async def answers(self) -> int:
        """How many requests it has answered, well or badly, as it counts them itself."""
        counts = ("nv_inference_request_success{", "nv_inference_request_failure{")
        return int(sum([await self._counted(name) for name in counts]))

    async def _counted(self, name: str) -> float:
        url = f"http://{HOST}:{self._ports.metrics}/metrics"
        async with aiohttp.request("GET", url) as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    async def ready(self) -> float:
        """Waits until it serves its models; gives when that was seen."""
        while not await asyncio.to_thread(self._triton.is_ready):
            if self._triton.exit_status() is not None:
                raise RuntimeError(f"Triton ended. {self._triton.last_words()}")
            await asyncio.sleep(0.02)
        return time.monotonic()


@asynccontextmanager
async def fleet(
    count: int, *models: str, repository: Path = REPOSITORY
) -> AsyncIterator[list[Replica]]:
    """So many Tritons with these models, ready."""
    installed = setup()
    backend.install(BACKENDS, "proof")
    replicas: list[Replica] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(count):
                log = Path(folder) / f"triton-{number}.log"
                replicas.append(Replica(installed, models, log, repository))
            for replica in replicas:
                await replica.ready()
            say(f"{count} Tritons serve {', '.join(models)}")
            yield replicas
        finally:
            for replica in replicas:
                replica.resume()
                replica.say_if_ended()
            await asyncio.gather(*(replica.end() for replica in replicas))


def addresses(replicas: Sequence[Replica]) -> str:
    """For LACUNA_TRITON."""
    return ",".join(replica.address for replica in replicas)
