"""The command that starts Spark, where it stands in for Spark's own launcher."""

import re
import zipfile
from pathlib import Path

import pyspark

from local.spark_server import MODULE_OPTIONS


def test_its_jvm_gets_what_sparks_launcher_gives_but_the_module_a_small_java_lacks() -> None:
    """A newer Spark that asks for one more is noticed here. Its own list is in the strings of a class."""
    (jar,) = (Path(pyspark.__file__).parent / "jars").glob("spark-launcher_*.jar")
    compiled = zipfile.ZipFile(jar).read("org/apache/spark/launcher/JavaModuleOptions.class")
    # In a class file each string is preceded by its tag, 1, and its length in two bytes.
    strings = [text[2 : 2 + int.from_bytes(text[:2])] for text in re.split(rb"\x01(?=\x00.-)", compiled)]
    options = {text.decode() for text in strings if text.startswith(b"-")}
    assert options - set(MODULE_OPTIONS) == {"--add-modules=jdk.incubator.vector"}
    assert set(MODULE_OPTIONS) <= options
