# The images of docker-compose.yml: `airflow`, Airflow with the pipeline in it, and `stand-ins`, what stands in for the
# bucket and for Databricks. Both have exactly the packages of requirements.lock.

FROM apache/airflow:3.3.2-python3.11 AS packages
COPY requirements.lock /tmp/
RUN uv pip sync --no-cache --require-hashes /tmp/requirements.lock
# The base image takes a command it does not know for one of Airflow's: here it is run as it is.
ENTRYPOINT []

FROM packages AS wheel
WORKDIR /tmp/package
COPY --chown=airflow:root pyproject.toml ./
COPY --chown=airflow:root plugins/ingestion plugins/ingestion
RUN python -m hatchling build --target wheel --directory /tmp/dist

FROM packages AS airflow
RUN --mount=type=bind,from=wheel,source=/tmp/dist,target=/tmp/dist uv pip install --no-cache --no-deps /tmp/dist/*.whl
COPY plugins/airflow_local_settings.py /opt/airflow/plugins/
COPY local/health.py /opt/ingestion/local/
# A named volume takes over the owner of the folder it is mounted on.
RUN mkdir --parents /opt/airflow/logs /opt/airflow/login

FROM golang:1.26-bookworm AS bucket-server
WORKDIR /source
COPY local/bucket_server ./
RUN CGO_ENABLED=0 go build -o /bucket-server .

FROM packages AS stand-ins
USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends default-jre-headless git \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=airflow --group=root \
        /opt/ingestion /data/objects /data/lakehouse /data/runs /data/workspace
COPY --from=bucket-server /bucket-server /usr/local/bin/
USER airflow
WORKDIR /opt/ingestion
COPY local local
# The Maven client inside Spark fetches the jars of Delta and gs://; their checksums are ours.
RUN java -jar "$(python -c 'import pyspark; print(pyspark.__path__[0])')"/jars/ivy-*.jar -error \
        -settings local/jars/settings.xml -ivy local/jars/ivy.xml -cache /tmp/ivy \
        -retrieve '/opt/ingestion/jars/[artifact]-[revision](-[classifier]).[ext]' \
    && rm -r /tmp/ivy \
    && cd jars && sha256sum --check ../local/jars/SHA256SUMS
