"""Runs schemathesis against the service's own description of itself, /openapi.json.

Run by ``make fuzz``.
"""

import asyncio
import sys
from pathlib import Path

from rig.fleet import CONSTANT, SUBJECT, addresses, fleet
from rig.gateway import LOGS, TOKEN, gateway
from rig.goals import Report

PROGRAM = Path(sys.executable).with_name("schemathesis")
MAX_SECONDS = 20
"""The longest that an answer may take."""
EXCLUDED = "positive_data_acceptance"
"""It wants every upload that fits the schema to be accepted, and no JSON schema can say that bytes
are a picture, that a mask has a white pixel or that a box lies inside the photo. With it, the masks
without a white pixel (400), photos without a subject (422) and empty files (415) that schemathesis
makes up are told as failures; they are the documented answers."""


async def check(report: Report) -> None:
    """All phases and nearly all checks of schemathesis, against a gateway with all its models."""
    async with (
        fleet(1, CONSTANT, SUBJECT) as replicas,
        gateway(addresses(replicas), inpaint_model=CONSTANT, segment_model=SUBJECT) as service,
    ):
        program = await asyncio.create_subprocess_exec(
            PROGRAM,
            *("run", f"{service.address}/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--max-response-time", str(MAX_SECONDS)),
            "--generation-deterministic",
            "--continue-on-failure",
            *("--exclude-checks", EXCLUDED),
            cwd=LOGS,  # It leaves files where it runs.
        )
        report.equal("schema: schemathesis ends with", await program.wait(), 0)
        report.equal("schema: the gateway runs on", service.status(), None)


def main() -> int:
    """Runs it; gives the exit status."""
    report = Report()
    asyncio.run(check(report))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
