"""sudo make bench-doctor: every fault of the labs made, and what `appliance doctor` said of it, as a table.

The faults are those of tests/labs/faults; tests/labs/test_doctor.py judges the same answers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.labs.faults.rounds import CASES, rounds

TABLE = Path(__file__).parents[2] / "build/bench-doctor.txt"
AT_LEAST = 27
"""So many faults have to be named right."""


def main() -> int:
    width = max(len(case.fault) for case in CASES)
    lines = [f"{'fault':{width}}  {'right':5}  {'s':>4}  doctor said"]
    print(lines[0], flush=True)
    right = faults = false_alarms = 0
    with rounds() as results:
        for case in CASES:
            try:
                answer = results[case.fault].result()
                well, seconds = answer.answers(case), f"{answer.seconds:.1f}"
                said = ", ".join(answer.causes) or "nothing"
            except Exception as error:  # a fault that could not be made, which is not right either
                well, seconds, said = False, "", f"could not be asked: {error}".partition("\n")[0]
            faults += bool(case.causes)
            right += well and bool(case.causes)
            false_alarms += not well and not case.causes
            lines.append(f"{case.fault:{width}}  {'yes' if well else 'NO':5}  {seconds:>4}  {said}")
            print(lines[-1], flush=True)
    lines.append(f"{right} of {faults} faults named right; {len(CASES) - faults} times nothing was wrong, and ")
    lines[-1] += f"{false_alarms or 'no'} time{'s' if false_alarms > 1 else ''} something was named all the same"
    print(lines[-1])
    TABLE.write_text("\n".join(lines) + "\n")
    return 0 if right >= AT_LEAST and not false_alarms else 1


if __name__ == "__main__":
    sys.exit(main())
