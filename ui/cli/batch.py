"""Batches of queries: JSON lines or CSV, from a file or from standard input."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexer.errors import InvalidQueryError
from ui.cli.source import STDIN

EXAMPLE = '{"id": "1", "image": "cat.jpg", "box": null}'


def read_batch(batch: Path) -> Iterator[dict[str, Any]]:
    """Yield the queries of a file, or of standard input (`-`), each with id, image and box.

    CSV is known by its suffix, or else by a first line that does not begin with a brace. A box is
    four numbers, `X0,Y0,X1,Y1` or a list, or empty. Raises `InvalidQueryError`, naming the line.
    """
    text = _read_text(batch)
    is_csv = batch.suffix.lower() == ".csv" or not text.lstrip().startswith("{")
    if text.strip():
        yield from _read_csv(batch, text) if is_csv else _read_json(batch, text)


def _read_text(batch: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if batch == Path(STDIN) else batch.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InvalidQueryError(f"{batch} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidQueryError(f"{batch} is not a text file in UTF-8.") from error


def _read_json(batch: Path, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            parsed = json.loads(line)
            if not isinstance(parsed, dict) or not {"id", "image"} <= parsed.keys():
                raise ValueError("id and image are needed")
            if not isinstance(parsed["image"], str):
                raise ValueError("image must be a path or a URL")
        except ValueError as error:
            raise InvalidQueryError(
                f"Line {number} of {batch} is not a query like {EXAMPLE}: {error}."
            ) from error
        yield parsed


def _read_csv(batch: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        names = set(reader.fieldnames or ())
        if not {"id", "image"} <= names:
            raise InvalidQueryError(
                f"{batch} is neither JSON lines like {EXAMPLE}, nor CSV with a first line like "
                "id,image,box."
            )
        for row in reader:
            if None in row or not row["image"]:
                raise InvalidQueryError(
                    f"Line {reader.line_num} of {batch} does not fit the columns of its first line."
                )
            yield {"id": row["id"], "image": row["image"], "box": row.get("box") or None}
    except csv.Error as error:
        raise InvalidQueryError(f"{batch} is not valid CSV: {error}.") from error
