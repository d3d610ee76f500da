"""What the driver tells the workflows of a worker process, outside their inputs.

In an input it would make histories larger than production's. Set before the worker starts and constant while it
runs, so replay sees the same values.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Knobs:
    """Attributes:
    renewals: a workflow that has made as many charges waits for ever, for the driver to end it.
    """

    renewals: int = 0


KNOBS = Knobs()
