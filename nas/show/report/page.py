"""The page of a report: data and plotly.js packed into one file, under a policy that lets nothing else run or load.

Both are gzip in base64, unpacked by the browser (`DecompressionStream`): plotly.js is 2.0 MB in place of 4.8. Scripts
run by their digest; nothing is fetched and no text is made into a function. The parallel axes of plotly.js would need
that for all scripts of the page ('unsafe-eval'), as all charts would that it draws by regl; its 3-D ones do not. The
policy names inline styles, because plotly.js sets the styles of what it draws.
"""

import base64
import functools
import gzip
import hashlib
import html
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from nas.drawing import STYLE
from nas.errors import printable
from nas.store.files import write_atomically

PLACE = files("nas.show.report")
SCRIPTS = ("parallel.js", "page.js")
"""One script, in this order."""


def write_report(path: Path, data: dict[str, Any], refresh: int = 0) -> int:
    """Writes the page; returns its bytes.

    Args:
        refresh: seconds after which the browser reads it again; 0 for never.

    Raises:
        StoppedError: if the file cannot be written.
    """
    content = page(data, refresh).encode()
    write_atomically(path, content)
    return len(content)


def page(data: dict[str, Any], refresh: int = 0) -> str:
    """The whole page as HTML; see `write_report`."""
    digest, plotly = _plotly()
    script = "".join((PLACE / name).read_text() for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{digest}' '{_digest(script)}'; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "refresh": f'<meta http-equiv="refresh" content="{refresh}">' if refresh else "",
        "title": html.escape(printable(str(data["name"]))),
        "style": (PLACE / "page.css").read_text() + STYLE.partition("@media")[0],
        "data": _packed(json.dumps(data, allow_nan=False, separators=(",", ":"))),
        "plotly": plotly,
        "script": script,
    }
    text = (PLACE / "page.html").read_text()
    for name, content in parts.items():
        text = text.replace(f"@{name}@", content, 1)
    return text


@functools.cache
def _plotly() -> tuple[str, str]:
    """Digest of plotly.js, as the Python package carries it, and its packed source: a second's work, once a process."""
    source = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return _digest(source), _packed(source)


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
