"""`python3 -m tests.unit.status.cases` writes the schema of `appliance status --json` anew; the diff is for a person to
read. It is a command and not a test, since unit tests may not write into the checkout."""

from __future__ import annotations

import json

from appliance.core.status_schema import json_schema
from tests.unit.status.test_status_schema import GOLDEN

if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
