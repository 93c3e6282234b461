"""The bar above every page: what is asked, how, among which images, and the other pages."""

from __future__ import annotations

from typing import Any

from retrieval.class_names import known_classes
from ui.answers import search_of, size_of, verifies
from ui.asked import Asked
from ui.browser import components
from ui.browser.chips import chips
from ui.gallery import version_of
from ui.printable import printable, shortened
from ui.query_pictures import query_pictures
from ui.shown import Shown


def show(shown: Shown, asked: Asked, problems: list[str], page: str, pages: dict[str, str]) -> None:
    """Draw the bar; `pages` are titles by path, and `page` is the path of the one that is shown."""
    components.bar(
        {
            "page": page,
            "pages": [{"path": path, "title": title} for path, title in pages.items()],
            "searches": page != "lab",
            "picture": picture_of(shown, asked),
            "boxes": [list(box.as_tuple()) for box in asked.box],
            "text": asked.text,
            "words": known_classes(shown.store) is not None,
            "regions": shown.spec.regions != "none",
            "search": search_of(shown, asked),
            "options": {
                "feature": asked.feature,
                "turns": asked.turns,
                "verify": verifies(shown, asked),
                "rerank": asked.rerank,
                "also_text": asked.also_text,
            },
            "chips": chips(shown, asked),
            "problems": [shortened(printable(problem)) for problem in problems],
        }
    )


def picture_of(shown: Shown, asked: Asked) -> dict[str, Any] | None:
    """Return where the query picture is, small and large, its name, and its size in pixels."""
    if not asked.has_picture:
        return None
    if asked.image is None:
        source = small = f"/page/queries/{asked.picture}"
        name = query_pictures().get(asked.picture).name
    else:
        info = shown.gallery.info(asked.image)
        at, version, name = f"/v1/images/{info.id}", version_of(info), info.path.name
        source, small = f"{at}/picture?v={version}", f"{at}/thumbnail?side=160&v={version}"
    width, height = size_of(shown, asked)
    return {"src": source, "small": small, "name": printable(name), "w": width, "h": height}
