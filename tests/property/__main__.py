"""A long walk: ``python -m tests.property STEPS SEED`` goes on until so many steps are taken.

It goes by runs of a seed each, the next run with the next seed. ``1 SEED`` repeats the run of a seed that went wrong.
"""

from __future__ import annotations

import sys
import time

from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from tests.property.machine import machine, walks
from tests.property.processes import zygote
from tests.property.walk import Tally

EXAMPLES, LENGTH = 20, 80


def main(steps: int, first: int) -> None:
    tally, began, at = Tally(), time.monotonic(), first

    def so_far() -> str:
        return f"seed {at}: {tally.steps} steps, {time.monotonic() - began:.0f} s"

    with zygote() as made:
        while tally.steps < steps:
            print(so_far(), flush=True)
            try:
                run_state_machine_as_test(seed(at)(machine(made, tally)), settings=walks(EXAMPLES, LENGTH))
            except BaseException:
                print(f"\n{so_far()}, and it went wrong. Once more: make walk STEPS=1 SEED={at}\n", flush=True)
                raise
            at += 1
    print(f"\nseeds {first} to {at - 1}, {time.monotonic() - began:.0f} s\n{tally.told()}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
