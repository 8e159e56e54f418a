"""A whole life of models with version 2023.2.1 of the SDK; prints what it saw as JSON. Arguments: a folder with models, to write in."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import wallaroo

from tests.acceptance.sdk import life, model_life


async def in_parallel(houses: Any) -> life.Facts:
    """Infer with lists of things."""
    (found,) = await houses.parallel_infer(tensor_list=[model_life.frame()], timeout=20, num_parallel=2, retries=2)
    (rows,) = await houses.parallel_infer(tensor_list=[model_life.table()], timeout=20)
    return {"frame": model_life.outputs(found), "table": rows["out.variable"].to_pylist()}


def main(folder: Path) -> None:
    """Print the facts."""
    os.chdir(folder)  # this version leaves a file in the working folder whenever it reads logs
    _, facts = model_life.whole(wallaroo.Client(), folder, in_parallel)
    print("\n" + json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
