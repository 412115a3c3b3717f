"""The service against web pages, guesses of its token, and names of files: whoever may use it runs code here."""

import base64
import hashlib
import json
import re

import httpx
import pytest

from tests.local.databricks.harness import TOKEN, Service, payload

FOREVER = "import time; time.sleep(1000)"


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "", "localhost.example.com:80"])
def test_the_run_page_is_not_served_under_another_name(service: Service, host: str) -> None:
    answer = httpx.get(f"{service.url}/", headers={"Host": host}, trust_env=False)
    assert answer.status_code == 400


def sent_by_a_page(service: Service, **headers: str | bytes) -> httpx.Response:
    """A submission as a page of another site can make the user's browser send it: with a body of text."""
    body = json.dumps(payload(service.script("page.py", "")))
    of_page = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    return httpx.post(
        f"{service.url}/api/2.2/jobs/runs/submit", content=body, headers=of_page | headers, trust_env=False
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Cookie": f"token={TOKEN}"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 403),
        ({"Authorization": b"Bearer t\xf6ken"}, 403),
    ],
)
def test_nothing_but_the_whole_token_lets_anybody_run_a_script(
    service: Service, headers: dict[str, str | bytes], status: int
) -> None:
    answer = sent_by_a_page(service, **headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert TOKEN[:-1] not in answer.text
    assert "access-control-allow-origin" not in answer.headers


def test_a_browser_is_not_allowed_to_ask_for_another_site(service: Service) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{service.url}/api/2.2/jobs/runs/submit", headers=asked, trust_env=False)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("route", ["/", "/health", "/runs/1", "/api/2.2/jobs/runs/list", "/elsewhere"])
def test_no_browser_runs_what_a_page_was_made_to_hold(service: Service, route: str) -> None:
    answer = service.call("GET", route)
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["frame-ancestors"], policy["form-action"]) == ("'none'",) * 3
    assert "unsafe" not in str(policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_policy_lets_the_page_s_own_script_and_style_be_used(service: Service) -> None:
    run_id = service.submit(payload(service.script("forever.py", FOREVER)))
    answer = service.call("GET", f"/runs/{run_id}")
    service.call("POST", "/api/2.2/jobs/runs/cancel", {"run_id": run_id})
    for kind in ("script", "style"):
        (text,) = re.findall(f"<{kind}>(.*?)</{kind}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/hostname",
        "/Workspace//etc/hostname",
        "/Workspace/..%2f..%2fetc/hostname",
        "/Workspace/..\\..\\etc/hostname",
        "/Workspace/\u2025/etc/hostname",
        "/Workspace/a\0.py",
        "/Workspace/a\n.py",
        f"/Workspace/{'a' * 5000}.py",
        "/Workspace/*.py",
    ],
)
def test_a_script_is_looked_for_in_the_workspace_alone(service: Service, path: str) -> None:
    run_id = service.submit(payload(path, run_name=path))
    assert service.finished(run_id)["life_cycle_state"] == "INTERNAL_ERROR"
    assert str(service.folder / "workspace") in service.output(run_id)["error"]
    assert service.call("GET", f"/runs/{run_id}", token=None).status_code == 200
