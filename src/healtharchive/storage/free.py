"""The child that removes a local file which others have copies of: `python -I -S free.py ORDER`.

ORDER is JSON: {"path": …, "size_bytes": …}. A file of another size is left alone: it is
not the one that was copied. Prints {"ok": …, "detail": …}; a file that is gone already is fine.
"""

import json
import os
import sys


def free(path: str, size_bytes: int) -> dict[str, object]:
    """Whether the file is gone now, durably."""
    try:
        found = os.stat(path).st_size
    except FileNotFoundError:
        return {"ok": True, "detail": "it was gone already"}
    if found != size_bytes:
        return {"ok": False, "detail": f"it has {found} bytes, not {size_bytes}"}
    os.unlink(path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return {"ok": True, "detail": "removed"}


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    try:
        answer = free(order["path"], order["size_bytes"])
    except OSError as error:
        answer = {"ok": False, "detail": str(error)}
    print(json.dumps(answer), flush=True)
