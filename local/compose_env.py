"""`make env`: writes .env for docker-compose.yml, which is .env.example with a fresh secret wherever one is due."""

import base64
import os
import re
import secrets
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def filled(example: str) -> str:
    """The text of .env.example with a secret for every name that has no value there."""
    return re.sub(r"^(\w+)=$", lambda line: f"{line[1]}={new_secret(line[1])}", example, flags=re.MULTILINE)


def new_secret(name: str) -> str:
    """A random value for this name: a Fernet key where one is due, else what fits into a URL as it is."""
    if name == "FERNET_KEY":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_urlsafe(24)


def main() -> int:
    """Write the file, readable to its owner only. An existing one stays: its secrets are in use."""
    target = REPO / ".env"
    text = filled((REPO / ".env.example").read_text())
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 (mode)
            file.write(text)
    except FileExistsError:
        print(
            ".env is there already and was left as it is, because the database belongs to its secrets. For fresh ones: "
            "`docker compose down --volumes`, then delete .env"
        )
        return 0
    print("wrote .env with fresh secrets; next: docker compose up --wait")
    return 0


if __name__ == "__main__":
    sys.exit(main())
