"""A small client of the FoldForge API."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import connect_sse

Json = dict[str, Any]
Result = TypeVar("Result")

ATTEMPTS = 5

# The server says something every 15 seconds; after a silence of this many seconds the connection is dead.
SILENCE_SECONDS = 45.0


class ApiError(Exception):
    """What the server answered instead of what was asked for."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        # Seconds to wait before the same call is worth another try; None: it is not.
        self.retry_after = retry_after


class Event(NamedTuple):
    """`step_update`, `workflow_update` or `end`, with what openapi.yaml says of its data."""

    name: str
    data: Json


class FoldForge:
    """The operations that the example needs. Each raises an ApiError when the server refuses."""

    def __init__(self, url: str, api_key: str) -> None:
        headers = {"Authorization": f"Bearer {api_key}"}
        timeout = httpx.Timeout(10.0, read=SILENCE_SECONDS)
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)

    def __enter__(self) -> FoldForge:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, spec: Json) -> Json:
        """Submits a workflow, once: with the key, a repetition after a lost answer submits nothing twice."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self._json("POST", "/v1/workflows", json=spec, headers=headers)

    def get(self, workflow_id: str) -> Json:
        return self._json("GET", f"/v1/workflows/{workflow_id}")

    def rank(self, workflow_id: str, metric: str, top_k: int) -> Json:
        return self._json("POST", f"/v1/workflows/{workflow_id}/rank", json={"metric": metric, "top_k": top_k})

    def watch(self, workflow_id: str, on_loss: Callable[[str, str], None]) -> Iterator[Event]:
        """
        Every event of a workflow once, in order, from the first one to the end. A lost stream is resumed after the last
        event that came; `on_loss` is told why, and which one that was.
        """
        cursor = "0"
        wait = 1.0
        while True:
            reason = "the server ended it"
            try:
                headers = {"Last-Event-ID": cursor}
                with connect_sse(self._http, "GET", f"/v1/workflows/{workflow_id}/events", headers=headers) as source:
                    # Nothing after our cursor, and nothing to come.
                    if source.response.status_code == httpx.codes.NO_CONTENT:
                        yield Event("end", {"state": self.get(workflow_id)["state"]})
                        return
                    _raise_for_error(source.response)
                    for event in source.iter_sse():
                        wait = event.retry / 1_000 if event.retry else wait
                        # It may be the id alone, which is where we are already.
                        if not event.data:
                            continue
                        data = json.loads(event.data)
                        if event.event == "error":
                            raise _api_error(data, None)
                        if event.event in ("step_update", "workflow_update", "end"):
                            yield Event(event.event, data)
                        if event.event == "end":
                            return
                        # Only now: an event that nobody has taken must come again.
                        cursor = event.id or cursor
            except (ApiError, httpx.TransportError) as error:
                if _seconds_to_wait(error) is None:
                    raise
                reason = str(error) or type(error).__name__
            on_loss(reason, cursor)
            time.sleep(wait)

    def download(self, workflow_id: str, artifact: Json, file: Path) -> None:
        """Downloads an artifact. The file is there only when it is whole: its SHA-256 must be the recorded one."""
        key = artifact["uri"].removeprefix("r2://").partition("/")[2]
        path = f"/v1/workflows/{workflow_id}/artifacts/{quote(key, safe='/')}"
        part = file.with_name(f"{file.name}.part")

        def fetch() -> None:
            digest = hashlib.sha256()
            with self._http.stream("GET", path, follow_redirects=True) as response, part.open("wb") as out:
                _raise_for_error(response)
                for chunk in response.iter_bytes():
                    digest.update(chunk)
                    out.write(chunk)
            if digest.hexdigest() != artifact["sha256"]:
                raise ValueError(f"{file} has the SHA-256 {digest.hexdigest()}, not {artifact['sha256']}")
            part.replace(file)

        try:
            _repeat(fetch)
        finally:
            part.unlink(missing_ok=True)

    def _json(self, method: str, path: str, **options: Any) -> Json:
        def call() -> Json:
            response = self._http.request(method, path, **options)
            _raise_for_error(response)
            return response.json()

        return _repeat(call)


def _repeat(call: Callable[[], Result]) -> Result:
    """Makes a call that is safe to repeat, again after a lost connection and whenever the server says that it can help."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except (ApiError, httpx.TransportError) as error:
            wait = _seconds_to_wait(error)
            if wait is None or attempt == ATTEMPTS:
                raise
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _seconds_to_wait(error: ApiError | httpx.TransportError) -> float | None:
    return error.retry_after if isinstance(error, ApiError) else 1.0


def _raise_for_error(response: httpx.Response) -> None:
    if response.is_success:
        return
    response.read()
    retry_after = response.headers.get("Retry-After")
    try:
        error = _api_error(response.json(), retry_after)
    except (ValueError, KeyError, TypeError):
        # A proxy on the way speaks for itself, and not in our words.
        words = f"a proxy answered {response.status_code} {response.reason_phrase}"
        error = ApiError(words, float(retry_after or 1) if response.status_code >= 502 else None)
    raise error


def _api_error(body: Json, retry_after: str | None) -> ApiError:
    places = [f"\n  {each['pointer']}: {each['message']}" for each in body.get("errors", [])]
    message = f"{body['status']} {body['code']}: {body['message']} (request {body['request_id']}){''.join(places)}"
    return ApiError(message, float(retry_after or 1) if body["retryable"] else None)
