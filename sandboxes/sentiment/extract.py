"""Make sentences.tsv from the source package of vaderSentiment 3.3.2; run once, to check or change it.

python extract.py vaderSentiment-3.3.2.tar.gz
(pip download --no-deps --no-binary vaderSentiment vaderSentiment==3.3.2 brings the file)
"""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
NAME = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def main() -> None:
    content = Path(sys.argv[1]).read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        sys.exit(f"{sys.argv[1]} is not vaderSentiment-3.3.2.tar.gz as it was published")
    with tarfile.open(fileobj=io.BytesIO(content)) as package:
        inner = package.extractfile(INNER)
        assert inner is not None
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as archive:
            member = archive.extractfile(NAME)
            assert member is not None
            text = member.read().decode("utf-8")
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if line:
            _, rating, sentence = line.rstrip("\r").split("\t")
            found.setdefault(sentence, f"{float(rating):.2f}")
    lines = [f"{rating}\t{sentence}\n" for sentence, rating in found.items()]
    Path(__file__).with_name("sentences.tsv").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
