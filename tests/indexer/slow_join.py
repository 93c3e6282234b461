"""Joins stores slowly and in small commits: made to be killed.

python -m tests.indexer.slow_join WHOLE PART...
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from unittest import mock

from indexer import join
from indexer.parts import open_or_create_whole, open_parts


def pause() -> bool:
    time.sleep(0.1)
    return False


if __name__ == "__main__":
    place, *parts = map(Path, sys.argv[1:])
    with (
        mock.patch.object(join, "STEP_IMAGES", 4),
        open_parts(parts) as opened,
        open_or_create_whole(place, opened) as whole,
    ):
        join.join_stores(whole, opened, stop=pause)
