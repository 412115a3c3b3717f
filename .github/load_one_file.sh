#!/usr/bin/env bash
# Puts the first sample into the bucket of `docker compose up` and waits until the pipeline has archived it.
set -euo pipefail
cd "$(dirname "$0")/.."
bucket=http://127.0.0.1:4443
file=$(find local/samples -name 'order_tracking_*.csv' | sort | head -1)
name=$(basename "$file")
curl --fail --silent --show-error --data-binary "@$file" --output /dev/null \
    "$bucket/upload/storage/v1/b/orders-data/o?uploadType=media&name=source/$name"
for _ in $(seq 150); do
    if curl --fail --silent "$bucket/storage/v1/b/orders-data/o?prefix=archive/" | grep --quiet "${name%.csv}"; then
        echo "$name is archived"
        exit 0
    fi
    sleep 2
done
echo "$name was not archived within five minutes" >&2
exit 1
