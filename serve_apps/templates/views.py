"""Answers about kinds and templates that are more than the stored values themselves."""

from __future__ import annotations

from controllers.assets.forms import KindForm, ParameterForm
from controllers.assets.templates import Change, Template, TemplateValidation, TemplateVersion
from controllers.kernel.wire import Wire


class KindList(Wire):
    """All kinds of resources."""

    items: list[KindForm]


class TemplatePage(Wire):
    """Templates."""

    items: list[Template]
    next_cursor: str | None


class VersionPage(Wire):
    """Versions of a template, newest first."""

    items: list[TemplateVersion]
    next_cursor: str | None


class ValidationPage(Wire):
    """Validations of a template, newest first."""

    items: list[TemplateValidation]
    next_cursor: str | None


class TemplateForm(Wire):
    """A version as a form: the kind's parameters as the template narrows them."""

    template_id: str
    version: int
    kind: str
    parameters: list[ParameterForm]


class DiffView(Wire):
    """What differs between two versions."""

    template_id: str
    before: int
    after: int
    changes: list[Change]
