"""Who may ask the API, and what is refused: tokens, sites, names, proxies, TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trustme
from typer.testing import Result

from tests.ui.api.conftest import TOKEN, Server, serving

PATHS = ["/v1/store", "/v1/images", "/v1/openapi.json", "/v1/images/1/thumbnail", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sent", [None, "x", "wrong", TOKEN[:-1], TOKEN + "x", "ü"])
def test_nothing_is_told_without_the_token(server: Server, path: str, sent: str | None) -> None:
    headers = [] if sent is None else [(b"Authorization", f"Bearer {sent}".encode("latin-1"))]
    answer = httpx.get(server.url + path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Bearer TOKEN" in answer.json()["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_the_token_opens(server: Server, path: str) -> None:
    with server.http() as http:
        assert http.get(path).status_code == 200
    assert httpx.get(server.url + path, params={"token": TOKEN}).status_code == 401


def test_health_needs_no_token(server: Server) -> None:
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}


def test_what_only_pages_fetch_is_not_served_to_programs(server: Server) -> None:
    with server.http() as http:
        for path in ("images", "queries", "zip?ids=1", "facts?hit=1"):
            assert http.get(f"/page/{path}").status_code == 404
        assert http.post("/page/open?hit=1").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_a_rebound_name_is_refused(server: Server, host: str) -> None:
    with server.http() as http:
        for path in [*PATHS, "/healthz"]:
            assert http.get(path, headers={"Host": host}).status_code == 400, path


def test_pages_of_other_sites_are_refused_but_those_that_are_named(server: Server) -> None:
    with server.http() as http:
        answer = http.get("/v1/store", headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    shop = "https://shop.example.com"
    with serving(server.store, "--cors", shop) as other, other.http() as http:
        preflight = httpx.options(
            f"{other.url}/v1/search",
            headers={
                "Origin": shop,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == shop
        answer = http.get("/v1/store", headers={"Origin": shop})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, shop)
        assert http.get("/v1/store", headers={"Origin": "https://x.example"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../../etc/passwd",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/v1/images/..%2f..%2fetc%2fpasswd",
        "/v1//etc/passwd",
        "/v1/images/1/thumbnail/../../../../etc/passwd",
        "/v1/images/%00",
        "/static/../../etc/passwd",
    ],
)
def test_tricks_with_paths_lead_nowhere(server: Server, path: str) -> None:
    with server.http() as http:
        answer = http.send(
            http.build_request("GET", httpx.URL(server.url).copy_with(raw_path=path.encode()))
        )
        assert answer.status_code in (404, 422)
        assert "root:" not in answer.text


def test_a_server_without_uploads_takes_none(server: Server) -> None:
    with serving(server.store) as other, other.http() as http:
        answer = http.put("/v1/images/by-key/a", content=b"x")
        assert answer.status_code == 403
        assert "--uploads" in answer.json()["detail"]
        assert http.get("/v1/store").json()["takes_images"] is False


def test_it_serves_by_tls(server: Server, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made.cert_chain_pems[0].write_to_path(str(cert))
    made.private_key_pem.write_to_path(str(key))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving(server.store, "--tls-cert", str(cert), "--tls-key", str(key)) as other:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.get(f"{other.url}/v1/store", verify=context, headers=headers)
        assert answer.status_code == 200


def test_the_log_is_json_and_holds_no_token(server: Server) -> None:
    httpx.get(f"{server.url}/v1/store", params={"token": "a secret in an address"})
    with server.http() as http:
        http.get("/v1/images/777777")
        http.get("/v1/store")
    lines = [json.loads(line) for line in server.log]
    shown = [line for line in lines if line.get("path") == "/v1/images/777777"]
    assert (shown[-1]["status"], shown[-1]["method"]) == (404, "GET")
    assert "secret" not in "".join(server.log)


def test_the_figures_are_those_of_prometheus(server: Server) -> None:
    with server.http() as http:
        http.get("/v1/store")
        text = http.get("/metrics").text
    assert 'cbir_requests_total{method="GET",route="/store",status="200"}' in text
    assert "cbir_searches 0.0" in text
    assert "cbir_images " in text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--host", "0.0.0.0"], "set CBIR_TOKEN"),
        (["--token", "short"], "too short"),
        (["--tls-cert", "cert.pem"], "needs both"),
        (["--tls-cert", "no.pem", "--tls-key", "no.pem"], "no file"),
        (["--host", "203.0.113.7", "--token", "x" * 20], "Nothing can be served"),
        (["--uploads", "/proc/nothing/here"], "cannot be made"),
    ],
)
def test_what_cannot_be_served_is_said_before(
    cbir: Callable[..., Result], server: Server, options: list[str], reason: str
) -> None:
    found = cbir("serve", "--store", server.store, "--port", 8499, *options)
    assert found.exit_code == 1
    assert reason in found.output
