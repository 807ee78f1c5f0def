"""Calls of the API, templates; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.assets.forms import KindForm
from controllers.assets.templates import (
    Template,
    TemplateUsage,
    TemplateValidation,
    TemplateVersion,
)
from serve_apps.client.transport import Transport, part
from serve_apps.templates.bodies import CreateTemplateBody, UpdateTemplateBody, ValidateBody
from serve_apps.templates.views import (
    DiffView,
    KindList,
    TemplateForm,
    TemplatePage,
    ValidationPage,
    VersionPage,
)


class TemplatesCalls(Transport):
    """Operations of the domain: templates."""

    def list_kinds(self) -> KindList:
        """Return every kind of resource with its parameters."""
        return self.call(KindList, "GET", "/api/vpp/resource-kinds")

    def get_kind(self, kind: str) -> KindForm:
        """Return one kind of resource as a form."""
        return self.call(KindForm, "GET", f"/api/vpp/resource-kinds/{part(kind)}")

    def list_templates(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        name: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
        cursor: str | None = None,
    ) -> TemplatePage:
        """Return templates."""
        return self.call(
            TemplatePage,
            "GET",
            "/api/vpp/resource-templates",
            query={
                "kind": kind,
                "state": state,
                "name": name,
                "limit": limit,
                "sort": sort,
                "cursor": cursor,
            },
        )

    def each_templates(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        name: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
    ) -> Iterator[Template]:
        """Yield the items of all pages of ``list_templates``."""
        cursor: str | None = None
        while True:
            page = self.list_templates(
                kind=kind, state=state, name=name, limit=limit, sort=sort, cursor=cursor
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def create_template(
        self, body: CreateTemplateBody | Mapping[str, object], *, key: str | None = None
    ) -> Template:
        """Create a template: a kind of resource with defaults and narrower bounds."""
        return self.call(
            Template, "POST", "/api/vpp/resource-templates", body=body, key=key, keyed=True
        )

    def get_template(self, template_id: str) -> Template:
        """Return a template with its newest version."""
        return self.call(Template, "GET", f"/api/vpp/resource-templates/{part(template_id)}")

    def update_template(
        self,
        template_id: str,
        body: UpdateTemplateBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Template:
        """Make the next version; resources keep the version they were made of."""
        return self.call(
            Template,
            "PUT",
            f"/api/vpp/resource-templates/{part(template_id)}",
            body=body,
            version=version,
        )

    def delete_template(self, template_id: str, *, version: int | None = None) -> bytes:
        """Delete a template that no resource in operation uses, with versions and validations."""
        return self.send(
            "DELETE", f"/api/vpp/resource-templates/{part(template_id)}", version=version
        ).content

    def list_versions(
        self, template_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> VersionPage:
        """Return the versions of a template, newest first; each is immutable."""
        return self.call(
            VersionPage,
            "GET",
            f"/api/vpp/resource-templates/{part(template_id)}/versions",
            query={"limit": limit, "cursor": cursor},
        )

    def each_versions(
        self, template_id: str, *, limit: int | None = None
    ) -> Iterator[TemplateVersion]:
        """Yield the items of all pages of ``list_versions``."""
        cursor: str | None = None
        while True:
            page = self.list_versions(template_id, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_version(self, template_id: str, version: int) -> TemplateVersion:
        """Return one version of a template."""
        return self.call(
            TemplateVersion,
            "GET",
            f"/api/vpp/resource-templates/{part(template_id)}/versions/{part(version)}",
        )

    def get_form(self, template_id: str, version: int) -> TemplateForm:
        """Return what to fill in for a resource of this version."""
        return self.call(
            TemplateForm,
            "GET",
            f"/api/vpp/resource-templates/{part(template_id)}/versions/{part(version)}/form",
        )

    def diff_versions(self, template_id: str, *, before: int, after: int) -> DiffView:
        """Return what differs between two versions, field by field."""
        return self.call(
            DiffView,
            "GET",
            f"/api/vpp/resource-templates/{part(template_id)}/diff",
            query={"before": before, "after": after},
        )

    def validate_configuration(
        self, template_id: str, body: ValidateBody | Mapping[str, object], *, key: str | None = None
    ) -> TemplateValidation:
        """Check a configuration against a version."""
        return self.call(
            TemplateValidation,
            "POST",
            f"/api/vpp/resource-templates/{part(template_id)}/validate",
            body=body,
            key=key,
            keyed=True,
        )

    def list_validations(
        self, template_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> ValidationPage:
        """Return what was checked against a template, newest first."""
        return self.call(
            ValidationPage,
            "GET",
            f"/api/vpp/resource-templates/{part(template_id)}/validations",
            query={"limit": limit, "cursor": cursor},
        )

    def each_validations(
        self, template_id: str, *, limit: int | None = None
    ) -> Iterator[TemplateValidation]:
        """Yield the items of all pages of ``list_validations``."""
        cursor: str | None = None
        while True:
            page = self.list_validations(template_id, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_usage(self, template_id: str) -> TemplateUsage:
        """Return which resources use a template, and which version of it."""
        return self.call(
            TemplateUsage, "GET", f"/api/vpp/resource-templates/{part(template_id)}/usage"
        )
