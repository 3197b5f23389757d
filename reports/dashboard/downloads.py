"""What may be taken along? The report, as its page with figures and tables; the winner's configuration. Nothing is kept here."""

import io
import tempfile
import zipfile
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from reports.export import export_study
from studies.errors import InputError
from studies.ledger import Store


class Downloads:
    """Files that are made when they are asked for."""

    def __init__(self, store: Store):
        self._store = store

    def report(self, request: Request) -> Response:
        """The report of a study as it stands, as a zip archive."""
        from reports.dashboard.charts import DRAWING  # pandas and matplotlib, for which the first page does not wait
        from reports.page import report_study

        name = request.path_params["name"]
        out = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder:
            with DRAWING:
                report_study(self._store, name, Path(folder))
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(Path(folder).rglob("*.*")):
                    archive.write(path, f"{name}/{path.relative_to(folder)}")
        return attached(out.getvalue(), "application/zip", f"{name}.zip")

    def export(self, request: Request) -> Response:
        """The winner of a study, as `tune train` takes it."""
        name = request.path_params["name"]
        self._store.record(name)
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = export_study(self._store, name, Path(folder) / "best.yaml")
            except InputError as error:
                raise HTTPException(409, str(error)) from None
            return attached(path.read_bytes(), "application/yaml", f"{name}.yaml")


def attached(content: bytes, kind: str, name: str) -> Response:
    """name: made of a study's, which has no character that would need quoting."""
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})
