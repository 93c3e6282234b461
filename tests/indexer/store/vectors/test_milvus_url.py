from __future__ import annotations

import pytest

from indexer.errors import StoreError
from indexer.store.vectors.milvus_url import MilvusPlace


@pytest.mark.parametrize(
    ("url", "uri", "place"),
    [
        ("milvus://h", "http://h:19530", "the Milvus database default on h:19530"),
        ("milvus://h:7/photos", "http://h:7", "the Milvus database photos on h:7"),
        ("milvus+tls://h/a%20b/", "https://h:19530", "the Milvus database a b on h:19530"),
        ("milvus://[::1]:7", "http://[::1]:7", "the Milvus database default on ::1:7"),
    ],
)
def test_a_url_names_a_database_of_a_server(url: str, uri: str, place: str) -> None:
    parsed = MilvusPlace.parse(url)
    assert (parsed.uri, str(parsed)) == (uri, place)


def test_user_and_password_are_decoded_and_never_shown() -> None:
    parsed = MilvusPlace.parse("milvus://me%40home:open%20sesame@h/d")
    assert (parsed.user, parsed.password) == ("me@home", "open sesame")
    assert "sesame" not in f"{parsed} {parsed!r}"
    assert "me@home" not in f"{parsed} {parsed!r}"


@pytest.mark.parametrize(
    "url",
    [
        *("", "h", "http://h", "milvus:", "milvus:///d", "milvus://h:0x1", "milvus://h:99999"),
        *("milvus://h/a/b", "milvus://u:secret@h/d?x=1", "milvus://h/d#x", "milvus://h/\n"),
        "milvus://[h",
    ],
)
def test_what_is_no_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StoreError, match="milvus://user:password@host:19530/database") as caught:
        MilvusPlace.parse(url)
    assert "secret" not in str(caught.value)
