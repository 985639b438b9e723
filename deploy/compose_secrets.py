"""`python -m deploy.compose_secrets`: the passwords and the certificate `deploy/compose.yaml` needs, once.

What is there stays: the databases already know these passwords. A certificate about to expire is renewed.
"""

import re
import secrets
from pathlib import Path

from deploy.local.certificates import ensure_certificate
from deploy.local.credentials import write_private

FOLDER = Path(__file__).resolve().parent
REQUIRED = re.compile(r"\$\{([A-Z0-9_]+):\?")


def required_names(compose: str) -> list[str]:
    """The variables a Compose file insists on, in order of appearance."""
    return list(dict.fromkeys(REQUIRED.findall(compose)))


def draw(folder: Path, compose: str) -> list[str]:
    """Write `.env` (only its owner can read it) and `tls/`; the names that were newly drawn.

    Values are URL-safe text, so they need no quoting in an address.
    """
    path = folder / ".env"
    lines = path.read_text().splitlines() if path.exists() else []
    known = {line.partition("=")[0] for line in lines if "=" in line}
    new = [name for name in required_names(compose) if name not in known]
    if new:
        lines += [f"{name}={secrets.token_urlsafe(32)}" for name in new]
        write_private(path, "".join(f"{line}\n" for line in lines))
    tls = folder / "tls"
    tls.mkdir(exist_ok=True)
    ensure_certificate(tls / "tls.crt", tls / "tls.key", tls / "authority.crt")
    # nginx reads the key as an account of its container, which this machine does not know.
    (tls / "tls.key").chmod(0o644)
    return new


if __name__ == "__main__":
    drawn = draw(FOLDER, (FOLDER / "compose.yaml").read_text())
    print(f"{FOLDER / '.env'}: {', '.join(drawn) if drawn else 'nothing was missing'}")
