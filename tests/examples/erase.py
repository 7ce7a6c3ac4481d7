"""Shows what is to go, and erases it. Usage: LACUNA_TOKEN=… erase.py ADDRESS PHOTO MASK RESULT."""

import os
import sys
import time
from pathlib import Path

import httpx


def post(client: httpx.Client, path: str, files: dict[str, Path]) -> bytes:
    """Sends files; waits as the service says where it is busy."""
    while True:
        opened = {name: file.open("rb") for name, file in files.items()}
        answer = client.post(path, files=opened)
        if answer.status_code not in (429, 503):
            break
        time.sleep(int(answer.headers["retry-after"]))
    if answer.is_error:
        told = answer.json()
        sys.exit(f"{told['error']}: {told['message']} (request {told['request_id']})")
    return answer.content


address, photo, mask, result = sys.argv[1:]
headers = {"authorization": f"Bearer {os.environ['LACUNA_TOKEN']}"}
with httpx.Client(base_url=address, headers=headers, timeout=300) as client:
    Path(mask).write_bytes(post(client, "/mask", {"file": Path(photo)}))
    files = {"file": Path(photo), "mask": Path(mask)}
    Path(result).write_bytes(post(client, "/inpaint", files))
