"""The same attacks from a plain user's sandboxes: `python -m tests.attacks.plain_user FOLDER BACKEND`.

Reads questions, one JSON object a line, and answers each with a line of JSON.
"""

import json
import os
import sys
from pathlib import Path

from tests.attacks.gallery import Gallery


def main(folder: Path, backend: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    gallery = Gallery(backend, folder)
    try:
        for line in sys.stdin:
            question, answer = json.loads(line), []
            if "begin" in question:
                gallery.begin(question["begin"])
            elif "verdict" in question:
                answer = list(gallery.verdict(question["verdict"]))
            else:
                answer = gallery.left()
            print(json.dumps(answer), file=answers, flush=True)
    finally:
        gallery.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
