"""Submits a design, watches it, downloads what it made, and ranks it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx

from foldforge import ApiError, FoldForge, Json

FOLDER = Path("designs")

# Two backbones, four sequences for each, and a prediction of how they fold.
SPEC: Json = {
    "name": "A first design",
    "labels": {"example": "client-python"},
    "steps": [
        {"id": "backbones", "tool": "rfdiffusion", "params": {"contigs": "80-100", "num_designs": 2}},
        {"id": "sequences", "tool": "proteinmpnn", "depends_on": ["backbones"], "params": {"num_sequences": 4}},
        {"id": "folds", "tool": "af2", "depends_on": ["sequences"], "params": {"num_models": 2}},
    ],
}


def watch(foldforge: FoldForge, workflow_id: str) -> str:
    """Shows each step's progress. Returns the state in which the workflow ended."""

    def on_loss(reason: str, cursor: str) -> None:
        print(f"The stream was lost ({reason}); going on after event {cursor}", file=sys.stderr, flush=True)

    for event in foldforge.watch(workflow_id, on_loss):
        if event.name == "end":
            return event.data["state"]
        if "step_update" in event.data:
            print(describe_step(event.data["step_update"]), flush=True)
    raise AssertionError("a watch ends with `end`")


def describe_step(status: Json) -> str:
    error = status.get("error")
    reason = f"  {error['code']}: {error['message']}" if error else ""
    return f"  {status['step_id']}  {status['state']} {int(status['fraction'] * 100 + 0.5)}%{reason}"


def download(foldforge: FoldForge, workflow_id: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    for status in foldforge.get(workflow_id)["step_statuses"]:
        for index, artifact in enumerate(status["outputs"], start=1):
            file = FOLDER / f"{status['step_id']}-{index}{Path(artifact['uri']).suffix}"
            foldforge.download(workflow_id, artifact, file)
            print(f"{file}  {artifact['size_bytes']} bytes  sha256 {artifact['sha256']}")


def rank(foldforge: FoldForge, workflow_id: str) -> None:
    ranking = foldforge.rank(workflow_id, metric="plddt", top_k=3)
    print(f"The best {len(ranking['designs'])} of {ranking['total_considered']} by plddt:")
    for design in ranking["designs"]:
        print(f"  {design['rank']}. {design['score']:.1f}  {design['source_step']}  {design['id']}")


def main() -> None:
    url = os.environ.get("FOLDFORGE_URL", "http://127.0.0.1:8080")
    api_key = os.environ.get("FOLDFORGE_API_KEY")
    if not api_key:
        sys.exit("FOLDFORGE_API_KEY is not set; `npm start` of the gateway prints one")
    try:
        with FoldForge(url, api_key) as foldforge:
            workflow = foldforge.submit(SPEC)
            print(f"Submitted {workflow['id']}", flush=True)
            state = watch(foldforge, workflow["id"])
            if state != "SUCCEEDED":
                sys.exit(f"the workflow ended {state}")
            download(foldforge, workflow["id"])
            rank(foldforge, workflow["id"])
    except ApiError as error:
        sys.exit(str(error))
    except httpx.TransportError as error:
        sys.exit(f"{url} does not answer: {error}")


if __name__ == "__main__":
    main()
