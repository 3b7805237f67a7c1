"""The ledger of the fault suite: one JSON line per attack, for the table in docs/reliability.md."""

import json
import os
from pathlib import Path


def record(attack: str, tried: int, held: int) -> None:
    """Add one line to the file that CACHELAB_FAULTS_LEDGER names, if it names one."""
    ledger = os.environ.get("CACHELAB_FAULTS_LEDGER")
    if ledger:
        with Path(ledger).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"attack": attack, "tried": tried, "held": held, "lost": tried - held}) + "\n")
