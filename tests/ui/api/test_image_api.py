"""Images over HTTP: put, listed, shown and removed."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from indexer.errors import CbirError
from retrieval.query import Query
from tests.pictures import PHOTOS, photo
from tests.ui.api.conftest import Server, serving


def picture(colour: str, turned: int = 0, form: str = "JPEG") -> bytes:
    out = io.BytesIO()
    made = photo(PHOTOS[0]).resize((200, 150)).rotate(turned)
    made.paste(colour, (20, 20, 90, 90))
    made.save(out, form)
    return out.getvalue()


def key_of(number: int) -> str:
    return f"SKU {number}/ä.b"


def test_an_image_that_was_put_is_found_on_return(server: Server, http: httpx.Client) -> None:
    data = picture("red")
    with server.client() as client:
        image_id = client.put("SKU-1", data)
        assert image_id is not None
        [first, *_] = client.search(Query(data=data))
        assert first.image_id == image_id
        assert client.image(image_id)["key"] == "SKU-1"
    found = http.get("/v1/images/by-key/SKU-1").json()
    assert found["image_id"] == image_id
    answer = http.post("/v1/search", json={"image_id": image_id, "k": 1}).json()
    assert answer["hits"][0]["key"] == "SKU-1"


def test_fields_of_ones_own_are_said_found_and_cleared(server: Server, http: httpx.Client) -> None:
    with server.client() as client:
        image_id = client.put("SKU-2", picture("white"))
        assert image_id is not None
        assert client.annotate(image_id, sku="A-2", price="9.50")["annotations"] == {
            "sku": "A-2",
            "price": "9.50",
        }
        [listed] = client.images(where="sku:a-* and price<10")
        assert (listed["image_id"], listed["annotations"]["price"]) == (image_id, "9.50")
        asked = {"image_id": image_id, "filter": {"where": "sku=A-2"}}
        [hit] = http.post("/v1/search", json=asked).json()["hits"]
        assert (hit["image_id"], hit["annotations"]["sku"]) == (image_id, "A-2")
        [same, *_] = client.search(Query(image_id=image_id))
        assert dict(same.annotations) == {"sku": "A-2", "price": "9.50"}
        client.put("SKU-2", picture("white", 90))  # another picture of the same thing
        assert [row["annotations"] for row in client.images(where="sku:A-2")] == [
            {"sku": "A-2", "price": "9.50"}
        ]
        again = next(client.images(where="sku:A-2"))["image_id"]
        assert client.annotate(again, price="")["annotations"] == {"sku": "A-2"}
        client.remove("SKU-2")
    for values, why in (({"date": "x"}, "itself knows"), ({"a": "\ud800"}, "not valid Unicode")):
        answer = http.put(
            "/v1/images/1/annotations",
            content=json.dumps(values),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 422
        assert why in answer.json()["detail"]
    assert http.put("/v1/images/999999/annotations", json={"a": "b"}).status_code == 404
    bad = http.get("/v1/images", params={"where": "sku<"})
    assert (bad.status_code, bad.json()["error"]) == (422, "InvalidFilterError")


def test_an_image_is_replaced_under_its_key(server: Server, http: httpx.Client) -> None:
    url = "/v1/images/by-key/replaced"
    first = http.put(url, content=picture("red"), headers={"Content-Type": "image/jpeg"})
    blue = picture("blue", form="PNG")
    second = http.put(url, content=blue, headers={"Content-Type": "image/png"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["image_id"] != second.json()["image_id"]
    assert http.get(f"/v1/images/{first.json()['image_id']}").status_code == 404
    with server.client() as client:
        assert client.search(Query(data=blue))[0].image_id == second.json()["image_id"]
    files = [path.name for path in (server.store.parent / "uploads").glob("replaced*")]
    assert files == ["replaced.png"]


def test_many_put_at_once_are_all_there(server: Server) -> None:
    keys = [key_of(number) for number in range(12)]
    with server.client() as client, ThreadPoolExecutor(6) as threads:
        ids = list(threads.map(lambda n: client.put(keys[n], picture("green", 9 * n)), range(12)))
        assert len(set(ids)) == 12
        assert None not in ids
        listed = {row["key"]: row["image_id"] for row in client.images()}
        assert {key: listed[key] for key in keys} == dict(zip(keys, ids, strict=True))
        for key in keys:
            client.remove(key)
        assert not set(keys) & {row["key"] for row in client.images()}


def test_a_removed_image_is_no_hit(server: Server, http: httpx.Client) -> None:
    data = picture("yellow")
    with server.client() as client:
        image_id = client.put("to go", data)
        client.remove("to go")
        assert image_id not in [hit.image_id for hit in client.search(Query(data=data))]
    for method in ("GET", "DELETE"):
        answer = http.request(method, "/v1/images/by-key/to%20go")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "There is no image with the key 'to go'."
    assert not list((server.store.parent / "uploads").glob("to%20go*"))


def test_an_answer_without_waiting_says_so(http: httpx.Client) -> None:
    url = "/v1/images/by-key/later"
    answer = http.put(url, params={"wait": False}, content=picture("pink"))
    assert answer.status_code == 202
    assert answer.json() == {"key": "later", "image_id": None, "searchable": False}
    http.put("/v1/images/by-key/after", content=picture("gray"))  # what came before is there, too
    assert http.get(url).status_code == 200


@pytest.mark.parametrize(
    "key", ["../../outside", "/etc/passwd", ".hidden", "a%2Fb", "ä" * 20, "#page=2"]
)
def test_any_key_names_a_file_in_the_folder_and_nothing_else(server: Server, key: str) -> None:
    before = {path for path in server.store.parent.rglob("*") if path.is_file()}
    with server.client() as client:
        image_id = client.put(key, picture("red", 45))
        assert image_id is not None
        info = client.image(image_id)
        assert info["key"] == key
        assert Path(info["path"]).parent == server.store.parent / "uploads"
        new = {path for path in server.store.parent.rglob("*") if path.is_file()} - before
        assert {path.parent.name for path in new if path.suffix == ".jpg"} <= {"uploads", "derived"}
        client.remove(key)


@pytest.mark.parametrize("key", [".", ".."])
def test_what_has_another_meaning_in_an_address_is_no_key(server: Server, key: str) -> None:
    with server.client() as client, pytest.raises(CbirError, match="cannot be a key"):
        client.put(key, picture("red"))


@pytest.mark.parametrize(
    ("key", "reason"), [("%20", "is no key"), ("x" * 300, "is no key"), ("a%00b", "path.key")]
)
def test_what_cannot_be_a_key_is_refused(http: httpx.Client, key: str, reason: str) -> None:
    answer = http.put(f"/v1/images/by-key/{key}", content=picture("red"))
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


def test_what_is_no_image_is_not_kept(server: Server, http: httpx.Client) -> None:
    answer = http.put("/v1/images/by-key/text", content=b"milk, bread")
    assert answer.status_code == 422
    assert "text: " in answer.json()["detail"]
    assert not list((server.store.parent / "uploads").glob("text*"))


def test_images_are_listed_a_page_at_a_time(http: httpx.Client) -> None:
    first = http.get("/v1/images", params={"limit": 2}).json()
    second = http.get("/v1/images", params={"limit": 2, "after": first["after"]}).json()
    ids = [row["image_id"] for row in first["images"] + second["images"]]
    assert ids == sorted(set(ids))
    assert len(ids) == 4
    named = http.get("/v1/images", params={"name": f"{PHOTOS[1]}.jpg"}).json()
    assert [Path(row["path"]).name for row in named["images"]] == [f"{PHOTOS[1]}.jpg"]
    assert named["after"] is None


@pytest.mark.parametrize("path", ["thumbnail", "picture?side=64"])
def test_a_picture_is_sent_once(http: httpx.Client, path: str) -> None:
    answer = http.get(f"/v1/images/1/{path}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")
    assert answer.headers["cache-control"] == "private, no-cache"  # ids may stand for others later
    again = http.get(f"/v1/images/1/{path}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = http.get(f"/v1/images/1/{path}", headers={"If-None-Match": '"another"'})
    assert other.status_code == 200
    assert http.get(f"/v1/images/999999/{path}").status_code == 404


@pytest.mark.parametrize("path", ["thumbnail", "picture"])
def test_a_picture_of_the_present_version_is_kept_for_good(
    server: Server, http: httpx.Client, path: str
) -> None:
    with server.client() as client:
        first = client.put(f"versions-{path}", picture("red"))
        old = http.get(f"/v1/images/{first}").json()["version"]
        assert kept(http, f"/v1/images/{first}/{path}", old) == (
            "private, max-age=31536000, immutable"
        )
        second = client.put(f"versions-{path}", picture("blue"))
        new = http.get(f"/v1/images/{second}").json()["version"]
        assert new != old
        for version in (old, "", f"{new}0", new[:-1]):
            assert kept(http, f"/v1/images/{second}/{path}", version) == "private, no-cache"
        client.remove(f"versions-{path}")


def kept(http: httpx.Client, path: str, version: str) -> str:
    answer = http.get(path, params={"v": version})
    assert answer.status_code == 200
    told: str = answer.headers["cache-control"]
    again = http.get(path, params={"v": version}, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, told)
    return told


def test_thumbnails_come_in_three_sizes(server: Server, http: httpx.Client) -> None:
    out = io.BytesIO()
    photo(PHOTOS[0]).resize((1000, 500)).save(out, "JPEG")
    with server.client() as client:
        image_id = client.put("large", out.getvalue())
        tags = set()
        for side in (160, 320, 640):
            answer = http.get(f"/v1/images/{image_id}/thumbnail", params={"side": side})
            assert Image.open(io.BytesIO(answer.content)).size == (side, side // 2)
            tags.add(answer.headers["etag"])
        assert len(tags) == 3
        usual = http.get(f"/v1/images/{image_id}/thumbnail")
        assert Image.open(io.BytesIO(usual.content)).size == (320, 160)
        refused = http.get(f"/v1/images/{image_id}/thumbnail", params={"side": 200})
        assert refused.status_code == 422
        assert "side" in refused.json()["detail"]
        client.remove("large")


def test_a_photo_is_removed_by_id_and_its_file_stays(server: Server, http: httpx.Client) -> None:
    place = server.photos / "extra.jpg"
    place.write_bytes(picture("orange", 20))
    job = http.post("/v1/jobs", json={"places": [str(place)]}).json()
    assert ended(http, job["id"])["state"] == "done"
    [row] = http.get("/v1/images", params={"name": "extra.jpg"}).json()["images"]
    assert http.delete(f"/v1/images/{row['image_id']}").json() == {"removed": 1}
    assert http.get(f"/v1/images/{row['image_id']}").status_code == 404
    assert place.is_file()
    place.unlink()


def ended(http: httpx.Client, number: int) -> dict[str, Any]:
    """Follow the events of a job to its end, and return the last."""
    last: dict[str, Any] = {}
    with http.stream("GET", f"/v1/jobs/{number}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        for line in events.iter_lines():
            if line.startswith("data: "):
                last = json.loads(line.removeprefix("data: "))
    return last


def test_a_job_brings_the_store_up_to_date(http: httpx.Client) -> None:
    job = http.post("/v1/jobs", json={}).json()
    end = ended(http, job["id"])
    assert end["state"] == "done"
    assert end["report"]["failed"] == []
    listed = http.get("/v1/jobs").json()["jobs"]
    assert listed[0] == http.get(f"/v1/jobs/{job['id']}").json()
    assert http.delete(f"/v1/jobs/{job['id']}").json()["state"] == "done"
    assert http.get("/v1/jobs/999").status_code == 404


@pytest.mark.parametrize("place", ["/etc", "/", "..", ""])
def test_a_job_reads_nothing_outside_the_folders(http: httpx.Client, place: str) -> None:
    answer = http.post("/v1/jobs", json={"places": [place]})
    assert answer.status_code == 403
    assert "lies outside the folders" in answer.json()["detail"]


def test_the_store_says_what_it_holds(http: httpx.Client) -> None:
    facts = http.get("/v1/store").json()
    assert facts["images"] >= len(PHOTOS)
    assert facts["takes_images"] is True
    assert facts["spec"]["backbone"] == "efficientnet_lite0"


def test_a_store_can_begin_with_what_is_put(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with serving(store, "--uploads", str(tmp_path / "put")) as server, server.http() as http:
        assert http.get("/v1/store").json()["images"] == 0
        assert "cbir_images 0.0" in http.get("/metrics").text
        empty = http.post("/v1/search/upload", files={"image": ("a.jpg", picture("red"))})
        assert empty.status_code == 409
        assert "Add photos with cbir index" in empty.json()["detail"]
        put = http.put("/v1/images/by-key/first", content=picture("red"))
        assert put.status_code == 201
        found = http.post("/v1/search/upload", files={"image": ("a.jpg", picture("red"))}).json()
        assert [hit["key"] for hit in found["hits"]] == ["first"]
