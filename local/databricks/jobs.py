"""Jobs, kept as one JSON file each, so that they survive a restart."""

from pathlib import Path

from pydantic import BaseModel

from local.databricks.job_models import JobSettings
from local.databricks.runs import now_ms


class Job(BaseModel):
    """A job. Times are milliseconds since the epoch."""

    job_id: int
    created_at: int
    settings: JobSettings


class JobStore:
    """All jobs, in memory and in the folder `home`."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "jobs"
        self._folder.mkdir(parents=True, exist_ok=True)
        read = (Job.model_validate_json(path.read_bytes()) for path in self._folder.glob("*.json"))
        self._jobs = {job.job_id: job for job in read}

    def newest_first(self) -> list[Job]:
        """All jobs, by descending id."""
        return sorted(self._jobs.values(), key=lambda job: -job.job_id)

    def find(self, job_id: int) -> Job | None:
        """The job with this id."""
        return self._jobs.get(job_id)

    def create(self, settings: JobSettings) -> Job:
        """A new job."""
        now = now_ms()
        job = Job(job_id=max([now, *(known + 1 for known in self._jobs)]), created_at=now, settings=settings)
        draft = self._record(job).with_suffix(".tmp")
        draft.write_text(job.model_dump_json(exclude_unset=True))
        draft.replace(self._record(job))
        self._jobs[job.job_id] = job
        return job

    def delete(self, job: Job) -> None:
        """Forget a job. Its runs are kept."""
        self._record(job).unlink(missing_ok=True)
        self._jobs.pop(job.job_id, None)

    def _record(self, job: Job) -> Path:
        return self._folder / f"{job.job_id}.json"
