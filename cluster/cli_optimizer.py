"""``parkgrid optimizer deploy``: sends a file, or a folder packed as a zip archive, to a park."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from controllers.kernel.errors import ConfigError
from controllers.kernel.wire import encode
from controllers.optimizers.deployment import ENTRY, MAX_BYTES

# The same content packs to the same bytes, and so to the same id, whenever that is.
_PACKED_AT = (1980, 1, 1, 0, 0, 0)


def deploy(
    path: Annotated[
        Path,
        typer.Argument(help=f"A .py, a .zip, or a folder that holds {ENTRY}.", exists=True),
    ],
    name: Annotated[
        str | None, typer.Option(help="Its id begins with it. [default: that of the file]")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="Python environment of the park. [default: the park's own]")
    ] = None,
    note: Annotated[str, typer.Option(help="What it does, or what is new.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print what the server sent.")] = False,
) -> None:
    """Store an optimizer in the park; nothing of it runs yet."""
    # A second of imports that the other commands do without.
    from cluster.client_session import opened, session_file  # noqa: PLC0415
    from serve_apps.optimizers.bodies import DeployBody  # noqa: PLC0415

    file_name, content = _packed(path)
    if len(content) > MAX_BYTES:
        problem = f"{path}: {len(content)} bytes; at most {MAX_BYTES} can be deployed"
        raise ConfigError("optimizer", [problem])
    try:
        body = DeployBody(
            name=name or path.stem.lower(),
            file_name=file_name,
            content_base64=base64.b64encode(content).decode(),
            environment=environment,
            note=note,
        )
    except ValidationError as error:
        problems = [f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError("optimizer", problems) from error
    with opened(session_file()) as client:
        optimizer = client.deploy_optimizer(body)
    if as_json:
        typer.echo(encode(optimizer))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for field in ("id", "state", "version", "sha256", "n_bytes"):
        table.add_row(field, str(getattr(optimizer, field)))
    Console().print(table)


def _packed(path: Path) -> tuple[str, bytes]:
    """Return the name and the content to send."""
    if path.is_file():
        return path.name, path.read_bytes()
    if not (path / ENTRY).is_file():
        raise ConfigError("optimizer", [f"{path}: a folder must hold {ENTRY}"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                member = zipfile.ZipInfo(str(file.relative_to(path)), _PACKED_AT)
                archive.writestr(member, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return f"{path.name}.zip", packed.getvalue()
