"""What a Databricks run may be asked for beside its compute, and who may keep the repository of the job scripts."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator


class _Known(BaseModel):
    """Databricks drops a misspelt field of a request in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Access(_Known):
    """Somebody who may see or manage the runs."""

    permission_level: Literal["CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"]
    group_name: str | None = None
    user_name: str | None = None
    service_principal_name: str | None = None

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if sum(name is not None for name in (self.group_name, self.user_name, self.service_principal_name)) != 1:
            raise ValueError("exactly one of group_name, user_name and service_principal_name")
        return self


class RunOptions(_Known):
    """Fields of `runs/submit` about people and money, by the names of the Jobs API 2.2."""

    access_control_list: list[Access] | None = None
    budget_policy_id: str | None = None
    usage_policy_id: str | None = None
    performance_target: Literal["PERFORMANCE_OPTIMIZED", "STANDARD"] | None = None


GitProvider = Literal[
    "gitHub", "gitHubEnterprise", "gitLab", "gitLabEnterpriseEdition", "azureDevOpsServices", "bitbucketCloud",
    "bitbucketServer", "awsCodeCommit",
]  # fmt: skip
PROVIDERS: dict[str, GitProvider] = {
    "github.com": "gitHub",
    "gitlab.com": "gitLab",
    "dev.azure.com": "azureDevOpsServices",
    "bitbucket.org": "bitbucketCloud",
}
