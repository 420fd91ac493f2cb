"""A minimal job controller: one pod after another until one succeeds or too many have failed."""

import asyncio
from collections.abc import Callable

from kworkspace.cli.client.tasks import Tasks
from tests.kube_api.api.defaults import suffix
from tests.kube_api.api.deletion import delete
from tests.kube_api.kinds import JOBS, PODS
from tests.kube_api.node.recorder import Recorder
from tests.kube_api.objects import Object, clone, dig, is_finished, now
from tests.kube_api.store import Change, Store

MakePod = Callable[[str, Object], Object | str]
"""From namespace and manifest to the pod, or the words of the refusal."""


class Jobs:
    """Runs Jobs with one completion.

    Args:
        tasks: owns the timers of jobs that have a deadline or are to vanish.
        make_pod: makes a pod as the API does, admission and all.
    """

    def __init__(self, store: Store, tasks: Tasks, make_pod: MakePod) -> None:
        self._store = store
        self._tasks = tasks
        self._make_pod = make_pod
        self._record = Recorder(store, "job-controller")
        store.listeners.append(self._see)

    def _see(self, change: Change) -> None:
        loop = asyncio.get_running_loop()
        if change.resource is JOBS and not change.deleted:
            if change.old is None:
                loop.call_soon(self._begin, change.new)
            loop.call_soon(self._look, *change.key)
        elif change.resource is PODS:
            for owner in change.new["metadata"].get("ownerReferences", ()):
                if owner["kind"] == "Job":
                    loop.call_soon(self._look, change.key[0], owner["name"])

    def _begin(self, job: Object) -> None:
        seconds = dig(job, "spec", "activeDeadlineSeconds")
        if seconds is not None:
            self._tasks.spawn(
                self._deadline(job, seconds), f"deadline of {job['metadata']['name']}"
            )

    async def _deadline(self, job: Object, seconds: float) -> None:
        await asyncio.sleep(seconds)
        metadata = job["metadata"]
        current = self._store.get(JOBS, metadata["namespace"], metadata["name"])
        if current is None or current["metadata"]["uid"] != metadata["uid"] or _is_over(current):
            return
        for pod in self._pods(current):
            delete(self._store, PODS, pod, {})
        words = "Job was active longer than specified deadline"
        self._end(current, "Failed", "DeadlineExceeded", words)

    def _pods(self, job: Object) -> list[Object]:
        pairs = self._store.dependents(job["metadata"]["uid"])
        return [thing for resource, thing in pairs if resource is PODS]

    def _look(self, namespace: str, name: str) -> None:
        job = self._store.get(JOBS, namespace, name)
        if job is None or _is_over(job) or "deletionTimestamp" in job["metadata"]:
            return
        pods = self._pods(job)
        active = [pod for pod in pods if not is_finished(pod)]
        succeeded = [pod for pod in pods if dig(pod, "status", "phase") == "Succeeded"]
        failed = [pod for pod in pods if dig(pod, "status", "phase") == "Failed"]
        status: Object = {"startTime": dig(job, "status", "startTime") or now()}
        for key, found in (("active", active), ("succeeded", succeeded), ("failed", failed)):
            if found:
                status[key] = len(found)
        status["ready"] = len([pod for pod in active if _is_ready(pod)])
        job = self._set_status(job, status)
        if succeeded:
            words = "Reached expected number of succeeded pods"
            self._end(job, "Complete", "CompletionsReached", words)
        elif len(failed) > job["spec"]["backoffLimit"]:
            words = "Job has reached the specified backoff limit"
            self._end(job, "Failed", "BackoffLimitExceeded", words)
        elif not active and not job["spec"].get("suspend"):
            self._start(job)

    def _set_status(self, job: Object, status: Object) -> Object:
        metadata = job["metadata"]

        def changed(new: Object) -> None:
            new["status"] = status

        return self._store.replace(JOBS, metadata["namespace"], metadata["name"], changed) or job

    def _start(self, job: Object) -> None:
        metadata = job["metadata"]
        template = clone(job["spec"]["template"])
        own = template.get("metadata", {})
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{metadata['name'][:57]}-{suffix()}",
                "labels": own.get("labels", {}),
                "annotations": own.get("annotations", {}),
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": template["spec"],
        }
        made = self._make_pod(metadata["namespace"], pod)
        if isinstance(made, str):
            self._record(job, "FailedCreate", f"Error creating: {made}", warning=True)
        else:
            words = f"Created pod: {made['metadata']['name']}"
            self._record(job, "SuccessfulCreate", words)

    def _end(self, job: Object, type: str, reason: str, message: str) -> None:
        status = clone(job.get("status", {}))
        status.pop("active", None)
        status.setdefault("ready", 0)
        if type == "Complete":
            status["completionTime"] = now()
        before = "SuccessCriteriaMet" if type == "Complete" else "FailureTarget"
        status["conditions"] = [
            {
                "type": word,
                "status": "True",
                "lastProbeTime": now(),
                "lastTransitionTime": now(),
                "reason": reason,
                "message": message,
            }
            for word in (before, type)
        ]
        job = self._set_status(job, status)
        word = "Completed" if type == "Complete" else reason
        self._record(job, word, "Job completed" if type == "Complete" else message)
        if (seconds := dig(job, "spec", "ttlSecondsAfterFinished")) is not None:
            self._tasks.spawn(self._vanish(job, seconds), f"end of {job['metadata']['name']}")

    async def _vanish(self, job: Object, seconds: float) -> None:
        await asyncio.sleep(seconds)
        metadata = job["metadata"]
        current = self._store.get(JOBS, metadata["namespace"], metadata["name"])
        if current is not None and current["metadata"]["uid"] == metadata["uid"]:
            delete(self._store, JOBS, current, {})


def _is_over(job: Object) -> bool:
    conditions = dig(job, "status", "conditions", default=[])
    return any(
        entry["type"] in {"Complete", "Failed"} and entry["status"] == "True"
        for entry in conditions
    )


def _is_ready(pod: Object) -> bool:
    conditions = dig(pod, "status", "conditions", default=[])
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
