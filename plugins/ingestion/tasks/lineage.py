"""What OpenLineage is told, where Airflow's provider of it is installed. It asks a task when that has ended.

The provider is imported in here alone: most have no such thing. Files are named by their folder: each by its own name
would be a dataset that is read once.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ingestion.pipeline.feeds import Feed

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


def of_merge(
    feed: Feed, bucket: str, table: str, databricks_host: str, counts: Mapping[str, Any] | None
) -> "OperatorLineage":
    """From the folder of the feed's files to its table, with the counts of the batch if they are known."""
    from airflow.providers.common.compat.openlineage.facet import (
        DocumentationDatasetFacet,
        InputDataset,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.generated.input_statistics_input_dataset import InputStatisticsInputDatasetFacet

    columns = [
        SchemaDatasetFacetFields(name=column.name, type=column.type, description=column.description)
        for column in feed.columns
    ]
    source = InputDataset(namespace=f"gs://{bucket}", name=feed.prefix.rstrip("/"))
    target = OutputDataset(
        namespace=f"databricks://{databricks_host}",
        name=table,
        facets={
            "schema": SchemaDatasetFacet(fields=columns),
            "documentation": DocumentationDatasetFacet(description=feed.description),
        },
    )
    if counts:
        source.inputFacets = {
            "inputStatistics": InputStatisticsInputDatasetFacet(
                rowCount=counts.get("rows_read"), fileCount=counts.get("file_count")
            )
        }
        target.outputFacets = {
            "outputStatistics": OutputStatisticsOutputDatasetFacet(
                rowCount=counts.get("rows_inserted", 0) + counts.get("rows_updated", 0)
            )
        }
    return OperatorLineage(inputs=[source], outputs=[target])


def of_archive(feed: Feed, bucket: str) -> "OperatorLineage":
    """From the folder of the feed's files to its archive."""
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    source, archive = (
        Dataset(namespace=f"gs://{bucket}", name=name) for name in (feed.prefix.rstrip("/"), f"archive/{feed.name}")
    )
    return OperatorLineage(inputs=[source], outputs=[archive])
