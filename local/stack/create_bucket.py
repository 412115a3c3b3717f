"""`python -m local.stack.create_bucket URL PROJECT NAME`: makes the bucket, as an administrator does in the cloud."""

import sys

import httpx

if __name__ == "__main__":
    url, project, name = sys.argv[1:]
    # The server is beside us: no proxy of the environment applies.
    answer = httpx.post(f"{url}/storage/v1/b", params={"project": project}, json={"name": name}, trust_env=False)
    if answer.status_code != httpx.codes.CONFLICT:  # it is there
        answer.raise_for_status()
