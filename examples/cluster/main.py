"""Adds up one part of a series for π, says where, and leaves the sum as a number of the run."""

import json
import platform
from pathlib import Path

import wallaroo

arguments = wallaroo.Client().task_args()
part, parts, terms = (arguments.get(name, default) for name, default in [("part", 0), ("parts", 1), ("terms", 1_000_000)])

total = sum(4 * (-1) ** k / (2 * k + 1) for k in range(part, terms, parts))

print(f"part {part} of {parts} on {platform.node()}: {total:.6f}")
Path("metrics.json").write_text(json.dumps({"sum": total}))
