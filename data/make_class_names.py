"""Make indexer/features/imagenet-1k.txt: the names of the ImageNet classes, in their order.

Run: python data/make_class_names.py. A line has torchvision's name of a class, then the synonyms
that timm knows for it (those of WordNet), separated by commas.
"""

from __future__ import annotations

from pathlib import Path

from timm.data.imagenet_info import ImageNetInfo
from torchvision.models import EfficientNet_B0_Weights

OUT = Path(__file__).parents[1] / "indexer" / "features" / "imagenet-1k.txt"


def main() -> None:
    """Write the file."""
    names: list[str] = EfficientNet_B0_Weights.DEFAULT.meta["categories"]
    synonyms = ImageNetInfo("imagenet-1k")
    lines = [
        ", ".join(_joined(name, synonyms.index_to_description(place)))
        for place, name in enumerate(names)
    ]
    OUT.write_text("\n".join(lines) + "\n", "utf-8")


def _joined(name: str, description: str) -> list[str]:
    """Return the names of a class, each once, whatever its case."""
    names: dict[str, str] = {}
    for part in (name, *description.split(",")):
        names.setdefault(part.strip().casefold(), part.strip())
    return list(names.values())


if __name__ == "__main__":
    main()
