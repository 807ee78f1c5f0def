"""Resource templates in the database."""

from __future__ import annotations

from typing import Protocol

from controllers.assets.templates import (
    Template,
    TemplateContent,
    TemplateState,
    TemplateUsage,
    TemplateValidation,
    TemplateVersion,
)
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest


class TemplateFilter(Wire):
    """Which templates are wanted; None is any."""

    kind: str | None = None
    state: TemplateState | None = None
    name: str | None = None
    """Part of the name, in any case."""


class TemplateStore(Protocol):
    """Templates; every act is durable on return.

    Every method raises StorageUnavailableError when the database does not answer, and NotFoundError
    for a template or version that does not exist.
    """

    async def create(self, act: Act, kind: str, content: TemplateContent) -> Done[Template]:
        """Store a new template, ``act.subject``, as version 1.

        Raises:
            ConflictError: the id is taken.
            RulesBrokenError: the content breaks rules.
        """
        ...

    async def update(
        self, act: Act, seen_version: int, content: TemplateContent, state: TemplateState, note: str
    ) -> Done[Template]:
        """Add the next version.

        Raises:
            StaleVersionError: ``seen_version`` is not the newest.
            RulesBrokenError: the content breaks rules.
        """
        ...

    async def delete(self, act: Act, seen_version: int) -> Done[Template]:
        """Delete a template with its versions and validations; returns it as it was.

        Raises:
            StaleVersionError: ``seen_version`` is not the newest.
            ConflictError: resources in operation use it.
        """
        ...

    async def get(self, template_id: str) -> Template:
        """Return a template with its newest version."""
        ...

    async def list(self, wanted: TemplateFilter, request: PageRequest) -> Page[Template]:
        """Return templates; sortable by ``id``, ``name``, ``kind``, ``created_at``, ``updated_at``.

        Raises:
            DomainError: unknown order or foreign cursor.
        """
        ...

    async def version(self, template_id: str, version: int) -> TemplateVersion:
        """Return one version."""
        ...

    async def versions(self, template_id: str, request: PageRequest) -> Page[TemplateVersion]:
        """Return the versions, newest first."""
        ...

    async def validate(
        self, act: Act, template_id: str, version: int | None, configuration: dict[str, object]
    ) -> Done[TemplateValidation]:
        """Check a configuration against a version (None: the newest) and keep the outcome.

        ``act.subject`` is the id of the validation.
        """
        ...

    async def validations(self, template_id: str, request: PageRequest) -> Page[TemplateValidation]:
        """Return the validations of a template, newest first."""
        ...

    async def usage(self, template_id: str) -> TemplateUsage:
        """Return who uses a template."""
        ...
