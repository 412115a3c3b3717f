"""The bucket, as a task on Databricks reaches it."""

from google.auth.credentials import Credentials
from google.cloud.storage import Bucket, Client


def open_bucket(name: str, credential: str) -> Bucket:
    """The bucket, by a service credential of Unity Catalog, or what the machine itself has where none is named.

    The machine's own are a cluster's Google service account, or STORAGE_EMULATOR_HOST; serverless compute has none.
    """
    if not credential:
        return Client().bucket(name)
    # No request here is about a project, and none could be found out.
    return Client(project=None, credentials=_service_credential(credential)).bucket(name)


def _service_credential(name: str) -> Credentials:
    """Databricks' documentation: "Use Unity Catalog service credentials to connect to external cloud services"."""
    try:
        from databricks.sdk.runtime import dbutils  # only there, and not a dependency of this package
    except ImportError as error:
        raise RuntimeError(
            f"The service credential {name} is to be had on Databricks alone: leave --credential empty elsewhere"
        ) from error
    return dbutils.credentials.getServiceCredentialsProvider(name)
