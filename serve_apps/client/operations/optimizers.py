"""Calls of the API, optimizers; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.optimizers.deployment import Optimizer
from controllers.optimizers.scores import Score, ScoreSummary
from serve_apps.client.transport import Transport, part
from serve_apps.optimizers.bodies import DeployBody, StepBody
from serve_apps.optimizers.routes import OptimizerPage, ScorePage


class OptimizersCalls(Transport):
    """Operations of the domain: optimizers."""

    def list_optimizers(
        self,
        *,
        state: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
        cursor: str | None = None,
    ) -> OptimizerPage:
        """Return optimizers."""
        return self.call(
            OptimizerPage,
            "GET",
            "/api/vpp/optimizers",
            query={"state": state, "limit": limit, "sort": sort, "cursor": cursor},
        )

    def each_optimizers(
        self, *, state: str | None = None, limit: int | None = None, sort: str | None = None
    ) -> Iterator[Optimizer]:
        """Yield the items of all pages of ``list_optimizers``."""
        cursor: str | None = None
        while True:
            page = self.list_optimizers(state=state, limit=limit, sort=sort, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def deploy_optimizer(
        self, body: DeployBody | Mapping[str, object], *, key: str | None = None
    ) -> Optimizer:
        """Store an optimizer; none of it runs before somebody puts it into shadow."""
        return self.call(Optimizer, "POST", "/api/vpp/optimizers", body=body, key=key, keyed=True)

    def get_optimizer(self, optimizer_id: str) -> Optimizer:
        """Return an optimizer and how it stands."""
        return self.call(Optimizer, "GET", f"/api/vpp/optimizers/{part(optimizer_id)}")

    def shadow_optimizer(
        self,
        optimizer_id: str,
        body: StepBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Optimizer:
        """Let it solve every live problem and be judged; nothing of it is dispatched."""
        return self.call(
            Optimizer,
            "POST",
            f"/api/vpp/optimizers/{part(optimizer_id)}/shadow",
            body=body,
            version=version,
        )

    def promote_optimizer(
        self,
        optimizer_id: str,
        body: StepBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Optimizer:
        """Let its plans be dispatched where they hold; takes plans in shadow that held."""
        return self.call(
            Optimizer,
            "POST",
            f"/api/vpp/optimizers/{part(optimizer_id)}/promote",
            body=body,
            version=version,
        )

    def roll_back_optimizer(
        self,
        optimizer_id: str,
        body: StepBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Optimizer:
        """Take a promoted optimizer out of force; whoever was promoted before comes back."""
        return self.call(
            Optimizer,
            "POST",
            f"/api/vpp/optimizers/{part(optimizer_id)}/rollback",
            body=body,
            version=version,
        )

    def remove_optimizer(self, optimizer_id: str, *, version: int | None = None) -> Optimizer:
        """Remove an optimizer that is not promoted; its scores stay."""
        return self.call(
            Optimizer, "DELETE", f"/api/vpp/optimizers/{part(optimizer_id)}", version=version
        )

    def list_optimizer_scores(
        self, optimizer_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> ScorePage:
        """Return how each of its plans did beside the plan in force, newest first."""
        return self.call(
            ScorePage,
            "GET",
            f"/api/vpp/optimizers/{part(optimizer_id)}/scores",
            query={"limit": limit, "cursor": cursor},
        )

    def each_optimizer_scores(
        self, optimizer_id: str, *, limit: int | None = None
    ) -> Iterator[Score]:
        """Yield the items of all pages of ``list_optimizer_scores``."""
        cursor: str | None = None
        while True:
            page = self.list_optimizer_scores(optimizer_id, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def summarize_optimizer(self, optimizer_id: str) -> ScoreSummary:
        """Return what its newest scores say together: how many hold, at what cost, how fast."""
        return self.call(ScoreSummary, "GET", f"/api/vpp/optimizers/{part(optimizer_id)}/summary")
