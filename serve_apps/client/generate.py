"""Writes the client's methods from the routes: ``python -m serve_apps.client.generate``.

One module per domain of the document, one method per operation. The result is committed, so that it
can be read, and a test keeps it current.
"""

from __future__ import annotations

import inspect
import keyword
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_type_hints

from fastapi.routing import APIRoute

from controllers.kernel.wire import Wire
from serve_apps.openapi import openapi_document
from serve_apps.routes import ROUTES
from serve_apps.web.answers import answer_types

FOLDER = Path(__file__).parent / "operations"

_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}
_DOC_COLUMNS = 84
_MODULE = '"""Calls of the API, {tag}; written by ``serve_apps.client.generate``."""'


class _Writer:
    """One module."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.name = re.sub(r"\W+", "_", tag)
        self.class_name = "".join(word.capitalize() for word in self.name.split("_")) + "Calls"
        self._imports: dict[str, set[str]] = defaultdict(set)
        self._imports["serve_apps.client.transport"].add("Transport")
        self._methods: list[str] = []

    def add(self, route: APIRoute, operation: dict[str, Any]) -> None:
        """Write the method of one operation, and an iterator if it answers in pages."""
        names = {p["name"]: _python_name(p["name"]) for p in operation.get("parameters", [])}
        placed = [p for p in operation.get("parameters", []) if p["in"] == "path"]
        asked = [p for p in operation.get("parameters", []) if p["in"] == "query"]
        headers = {p["name"] for p in operation.get("parameters", []) if p["in"] == "header"}
        view = _view_of(operation)
        arguments = [f"{names[p['name']]}: {_type_of(p)}" for p in placed]
        path = re.sub(r"{(\w+)}", lambda m: f"{{part({m[1]})}}", route.path)
        call = [f'"{_method_of(route)}"', f'f"{path}"' if placed else f'"{path}"']
        if placed:
            self._imports["serve_apps.client.transport"].add("part")
        if route.body_field is not None:
            body = route.body_field.field_info.annotation
            if body is None:
                raise TypeError(route.path)
            self._imports[body.__module__].add(body.__name__)
            self._imports["collections.abc"].add("Mapping")
            arguments.append(f"body: {body.__name__} | Mapping[str, object]")
            call.append("body=body")
        options = [
            f"{names[p['name']]}: {_type_of(p)}" + ("" if p.get("required") else " | None = None")
            for p in sorted(asked, key=lambda p: not p.get("required"))
        ]
        if asked:
            pairs = ", ".join(f'"{p["name"]}": {names[p["name"]]}' for p in asked)
            call.append(f"query={{{pairs}}}")
        if "idempotency-key" in headers:
            options.append("key: str | None = None")
            call.append("key=key, keyed=True")
        if "if-match" in headers:
            options.append("version: int | None = None")
            call.append("version=version")
        if any("datetime" in text for text in (*arguments, *options)):
            self._imports["datetime"].add("datetime")
        doc = (inspect.getdoc(route.endpoint) or "").split("\n\n")[0].replace("\n", " ")
        self._method(
            name=route.name, arguments=arguments, options=options, call=call, view=view, doc=doc
        )
        if view is not None and "cursor" in names and "items" in view.__struct_fields__:
            self._iterator(route.name, arguments, options, view)

    def _method(
        self,
        *,
        name: str,
        arguments: list[str],
        options: list[str],
        call: list[str],
        view: type[Wire] | None,
        doc: str,
    ) -> None:
        head = ", ".join(["self", *arguments, *(["*"] if options else []), *options])
        if view is not None:
            self._imports[view.__module__].add(view.__name__)
            result, line = view.__name__, f"return self.call({view.__name__}, {', '.join(call)})"
        else:
            result, line = "bytes", f"return self.send({', '.join(call)}).content"
        if len(doc) > _DOC_COLUMNS:
            # The gist; the document has the rest.
            doc = re.split(r"[;:,]", doc)[0].rstrip(".") + "."
        self._methods.append(
            f'    def {name}({head}) -> {result}:\n        """{doc}"""\n        {line}\n'
        )

    def _iterator(
        self, name: str, arguments: list[str], options: list[str], view: type[Wire]
    ) -> None:
        item = get_args(get_type_hints(view)["items"])[0]
        self._imports[item.__module__].add(item.__name__)
        self._imports["collections.abc"].add("Iterator")
        kept = [option for option in options if not option.startswith("cursor:")]
        head = ", ".join(["self", *arguments, *(["*"] if kept else []), *kept])
        given = [argument.split(":")[0] for argument in arguments]
        given += [f"{o.split(':')[0]}={o.split(':')[0]}" for o in kept]
        self._methods.append(
            f"    def each_{name.removeprefix('list_')}({head}) -> Iterator[{item.__name__}]:\n"
            f'        """Yield the items of all pages of ``{name}``."""\n'
            f"        cursor: str | None = None\n"
            f"        while True:\n"
            f"            page = self.{name}({', '.join([*given, 'cursor=cursor'])})\n"
            f"            yield from page.items\n"
            f"            cursor = page.next_cursor\n"
            f"            if cursor is None:\n"
            f"                return\n"
        )

    def text(self) -> str:
        """Return the module."""
        first = {"collections.abc", "datetime"}
        order = sorted(self._imports, key=lambda module: (module not in first, module))
        imports = [f"from {m} import {', '.join(sorted(self._imports[m]))}" for m in order]
        return "\n".join(
            [
                _MODULE.format(tag=self.tag),
                "",
                "from __future__ import annotations",
                "",
                *imports,
                "",
                "",
                f"class {self.class_name}(Transport):",
                f'    """Operations of the domain: {self.tag}."""',
                "",
                "\n".join(self._methods),
            ]
        )


def modules() -> dict[str, str]:
    """Return the text of every module by name, unformatted."""
    document = openapi_document()
    writers: dict[str, _Writer] = {}
    for route in _api_routes():
        operation = document["paths"][route.path][_method_of(route).lower()]
        tag = operation["tags"][0]
        writers.setdefault(tag, _Writer(tag)).add(route, operation)
    texts = {writer.name: writer.text() for writer in writers.values()}
    bases = [(writer.name, writer.class_name) for writer in writers.values()]
    package = "serve_apps.client.operations"
    texts["__init__"] = "\n".join(
        [
            '"""All calls of the API, one module per domain."""',
            "",
            *(f"from {package}.{name} import {class_}" for name, class_ in sorted(bases)),
            "",
            "",
            f"class AllCalls({', '.join(class_ for _, class_ in bases)}):",
            '    """Every operation of the document."""',
            "",
        ]
    )
    return texts


def _api_routes() -> Iterable[APIRoute]:
    return (route for route in ROUTES if isinstance(route, APIRoute) and route.include_in_schema)


def _method_of(route: APIRoute) -> str:
    return next(iter(route.methods or ()))


def _view_of(operation: dict[str, Any]) -> type[Wire] | None:
    known = {type_.__name__: type_ for type_ in answer_types}
    for code, response in sorted(operation["responses"].items()):
        content = response.get("content", {})
        if code < "300" and "application/json" in content:
            return known[content["application/json"]["schema"]["$ref"].rpartition("/")[2]]
    return None


def _type_of(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    (schema, *_) = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    if schema.get("format") == "date-time":
        return "datetime"
    return _TYPES.get(schema.get("type", "string"), "str")


def _python_name(name: str) -> str:
    text = name.replace("-", "_")
    return f"{text}_" if keyword.iskeyword(text) else text


def write() -> None:
    """Write all modules, formatted."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.py"):
        old.unlink()
    for name, source in modules().items():
        (FOLDER / f"{name}.py").write_text(source)
    for step in (["format"], ["check", "--fix"], ["format"]):
        command = [sys.executable, "-m", "ruff", *step, "--quiet", str(FOLDER)]
        subprocess.run(command, check=True)  # noqa: S603 - our own arguments


if __name__ == "__main__":
    write()
