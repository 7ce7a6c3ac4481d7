"""Proves the service under faults, load and hostile callers, against real processes.

Run by ``make chaos``; ``--only replicas,ending`` runs some of the experiments.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine

from experiments import ending, hostile, overload, replicas, sick, throughput
from rig.goals import Report, say

EXPERIMENTS: dict[str, Callable[[Report], Coroutine[None, None, None]]] = {
    "replicas": replicas.run,
    "sick": sick.run,
    "throughput": throughput.run,
    "ending": ending.run,
    "overload": overload.run,
    "hostile": hostile.run,
}


def main() -> int:
    """Runs the experiments one after the other; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(EXPERIMENTS), help="names, between commas")
    chosen = parser.parse_args().only.split(",")
    if unknown := set(chosen) - EXPERIMENTS.keys():
        parser.error(f"no experiment {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}")
    report = Report()
    for name in chosen:
        say(f"-- {name}")
        asyncio.run(EXPERIMENTS[name](report))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
