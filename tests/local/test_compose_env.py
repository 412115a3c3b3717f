import shutil
from pathlib import Path

import pytest

from local import compose_env

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"


def test_secrets_are_for_their_owner_and_an_existing_file_keeps_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compose_env, "REPO", tmp_path)
    shutil.copy(EXAMPLE, tmp_path)
    written = tmp_path / ".env"
    assert compose_env.main() == 0
    text = written.read_text()
    assert written.stat().st_mode & 0o077 == 0
    assert len(text.splitlines()) == len(EXAMPLE.read_text().splitlines())
    secret = next(line for line in text.splitlines() if line.startswith("POSTGRES_PASSWORD=")).partition("=")[2]
    assert len(secret) == 32
    capsys.readouterr()
    assert compose_env.main() == 0
    assert written.read_text() == text
    assert "was left as it is" in capsys.readouterr().out
