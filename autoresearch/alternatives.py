"""What can stand in for what in machine-learning code: names, options, and values of settings.

Plain knowledge, as tables. It says nothing of which arguments a library accepts: what does not fit
shows in a traceback, and is repaired from it.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Names that can stand in for one another.

    `members` maps the full name to the arguments worth stating and to why one would try it. A
    replacement keeps the keyword arguments in `keeps`, and the positional ones if `positional`.
    """

    what: str
    usefulness: float
    members: dict[str, tuple[str, str]]
    keeps: frozenset[str] = frozenset()
    positional: bool = False


@dataclass(frozen=True)
class Scale:
    """How settings with such words in their name vary, and what more or less of them would do."""

    what: str
    words: tuple[str, ...]  # regular expressions on the snake-case name
    usefulness: float
    more: str
    less: str


SCALES = (
    Scale("rate", (r"(^|_)lr(_|$)", r"learning_rate", r"(^|_)eta0?$", r"step_size"), 8.0,
          "larger steps get further in the same number of updates",
          "smaller steps settle instead of overshooting the minimum"),
    Scale("share", (r"drop",), 6.0,
          "units that are often missing cannot rely on one another",
          "the network is too small to lose so many units"),
    Scale("share", (r"momentum", r"^beta_?[12]?$"), 5.0,
          "a longer memory of past gradients carries through flat regions",
          "a shorter memory of past gradients reacts faster"),
    Scale("share", (r"subsample", r"colsample", r"bootstrap_"), 5.0,
          "each member sees more of the data and is biased less",
          "members that see less of the data differ more from each other"),
    Scale("share", (r"smoothing", r"fraction", r"ratio", r"_frac$", r"decay_rate", r"cooling", r"prob$",
                    r"(mutation|crossover|exploration)_rate"), 5.0,
          "a higher share of it may be what the data needs",
          "a lower share of it leaves more of the signal"),
    Scale("strength", (r"^c$",), 6.0,
          "a softer penalty lets the fit follow the examples closer",
          "a harder penalty keeps the margin wide"),
    Scale("strength", (r"gamma", r"sigma", r"bandwidth", r"length_scale"), 6.0,
          "similarity that fades faster draws finer boundaries",
          "similarity that reaches further draws smoother boundaries"),
    Scale("strength", (r"temperature", r"noise", r"epsilon$"), 6.0,
          "far more randomness explores what is never visited now",
          "far less randomness keeps what is good already"),
    Scale("strength", (r"alpha", r"weight_decay", r"(^|_)l[12](_|$)", r"lambda", r"penalty", r"shrinkage",
                       r"(^|_)reg(ulari[sz]ation)?(_|$)"), 6.0,
          "weights are shrunk too timidly",
          "so strong a penalty hides what the features say"),
    Scale("length", (r"n_estimators", r"trees$", r"members$"), 7.0,
          "more members average more of the variance away",
          "fewer members may do, and leave time for better ones"),
    Scale("length", (r"restarts$", r"n_init", r"patience"), 6.5,
          "another start escapes a poor local optimum",
          "one long try may beat several short ones"),
    Scale("length", (r"epochs?$", r"max_iter", r"iterations?$", r"(^|_)steps$", r"rounds$", r"generations$"), 7.0,
          "what is learnt has not levelled off when training ends",
          "stopping sooner keeps it from learning the noise"),
    Scale("batch", (r"batch_size",), 5.0,
          "averaging over more examples makes each update less noisy",
          "more and noisier updates come out of the same data"),
    Scale("size", (r"neighbou?rs",), 6.0,
          "a vote of more neighbours is steadier",
          "the closest neighbours know best"),
    Scale("size", (r"depth", r"leaf", r"leaves", r"min_samples", r"max_features", r"bins$"), 6.0,
          "finer partitions of the space find interactions",
          "coarser partitions of the space vary less"),
    Scale("size", (r"components", r"clusters", r"embed"), 6.0,
          "further dimensions keep detail that is thrown away now",
          "the last dimensions hold mostly noise"),
    Scale("size", (r"hidden", r"units", r"width", r"layers?(_|$)", r"heads", r"filters"), 6.0,
          "a larger network represents what it cannot now",
          "a smaller network cannot memorise the examples"),
    Scale("size", (r"degree", r"window", r"order$", r"population", r"knots", r"ngram", r"history",
                   r"(^|_)lags?$"), 6.0,
          "a wider view of the data captures structure that is missed now",
          "a narrower view of the data has fewer ways to go wrong"),
)  # fmt: skip

UNKNOWN = Scale("unknown", (), 2.0, "the present value looks low", "the present value looks high")


def scale_of(name: str) -> Scale:
    """The scale that a setting of this name varies on, UNKNOWN when its name tells nothing."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    known = (s for s in SCALES if any(re.search(word, snake) for word in s.words))
    return next(known, UNKNOWN)


def nearby(scale: Scale, value: int | float) -> list[int | float]:
    """Values of a setting that a researcher would try next, the most promising first."""
    if (scale.what == "share" and 0 <= value <= 1) or (scale is UNKNOWN and 0 < value < 1):
        return _shares(float(value))
    if isinstance(value, int):
        factors = [2.0, 0.5, 4.0] if scale.what != "length" else [2.0, 4.0, 0.5]
        near = (
            [value + 1, value * 2, value - 1] if value <= 4 else [int(value * f) for f in factors]
        )
        return [number for number in near if 0 < number != value]
    if value == 0:
        return [0.01, 0.0001] if scale.what == "strength" else []
    factors = {"rate": [3, 1 / 3, 10, 0.1], "strength": [10, 0.1, 100]}.get(scale.what, [2, 0.5, 5])
    return [float(f"{value * factor:.2g}") for factor in factors]


def _shares(value: float) -> list[int | float]:
    if value == 0:
        return [0.1, 0.3]
    if value >= 0.8:
        near = (
            [1 - (1 - value) / 2, 1 - (1 - value) * 3, 1 - (1 - value) / 10]
            if value < 1
            else [0.8, 0.5]
        )
    else:
        near = [min(value * 2, (1 + value) / 2), value / 2]
    return [float(f"{number:.4g}") for number in near if 0 < number < 1]


FAMILIES = (
    Family("classifier", 9.0, {
        "sklearn.svm.SVC": ('C=1.0, kernel="rbf", gamma="scale"', "a wide margin in a kernel's space needs few examples"),
        "sklearn.neighbors.KNeighborsClassifier": ('n_neighbors=5, weights="uniform"', "the nearest training examples decide, without any fitting"),
        "sklearn.ensemble.ExtraTreesClassifier": ('n_estimators=200, max_features="sqrt"', "the vote of many random trees varies little and needs no tuning"),
        "sklearn.linear_model.LogisticRegression": ("C=1.0, max_iter=1000", "a convex linear model has one optimum and few ways to overfit"),
        "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": ("", "one shared covariance for all classes is estimated well from little data"),
        "sklearn.ensemble.HistGradientBoostingClassifier": ("learning_rate=0.1, max_iter=100", "boosting corrects the errors of earlier trees one after another"),
        "sklearn.ensemble.RandomForestClassifier": ("n_estimators=200", "bootstrapped trees average their variance away"),
        "sklearn.neural_network.MLPClassifier": ("hidden_layer_sizes=(100,), alpha=0.0001, max_iter=500", "a neural network learns its own features"),
        "sklearn.svm.LinearSVC": ("C=1.0", "a linear margin suits many sparse features"),
        "sklearn.naive_bayes.GaussianNB": ("", "independent Gaussian features have hardly any parameters to get wrong"),
        "sklearn.tree.DecisionTreeClassifier": ("max_depth=8", "a single tree finds interactions on its own"),
        "sklearn.linear_model.SGDClassifier": ("alpha=0.0001", "stochastic steps on a hinge loss regularise by themselves"),
        "sklearn.naive_bayes.MultinomialNB": ("alpha=1.0", "word counts follow a multinomial closely enough"),
        "xgboost.XGBClassifier": ("n_estimators=200, learning_rate=0.1", "regularised boosting"),
        "lightgbm.LGBMClassifier": ("n_estimators=200, learning_rate=0.1", "leaf-wise boosting"),
    }, frozenset({"random_state"})),
    Family("regressor", 9.0, {
        "sklearn.ensemble.ExtraTreesRegressor": ("n_estimators=200", "the mean of many random trees varies little and needs no tuning"),
        "sklearn.linear_model.Ridge": ("alpha=1.0", "shrunken linear weights are hard to overfit"),
        "sklearn.ensemble.HistGradientBoostingRegressor": ("learning_rate=0.1, max_iter=100", "boosting fits the residuals of earlier trees"),
        "sklearn.svm.SVR": ('C=1.0, kernel="rbf", epsilon=0.1', "a kernel smooths, and small residuals are ignored"),
        "sklearn.ensemble.RandomForestRegressor": ("n_estimators=200", "bootstrapped trees average their variance away"),
        "sklearn.linear_model.Lasso": ("alpha=0.1", "features that carry nothing get the weight zero"),
        "sklearn.ensemble.GradientBoostingRegressor": ("n_estimators=100, learning_rate=0.1, subsample=0.8", "stochastic boosting in small steps"),
        "sklearn.neighbors.KNeighborsRegressor": ("n_neighbors=10", "the mean of the nearest examples follows any curve"),
        "sklearn.linear_model.LinearRegression": ("", "least squares without shrinkage has no bias"),
        "sklearn.linear_model.HuberRegressor": ("epsilon=1.35", "outliers pull linearly instead of quadratically"),
        "sklearn.linear_model.ElasticNet": ("alpha=0.1", "both kinds of shrinkage at once"),
        "sklearn.neural_network.MLPRegressor": ("hidden_layer_sizes=(100,), max_iter=1000", "a neural network learns its own features"),
        "sklearn.tree.DecisionTreeRegressor": ("max_depth=6", "a single tree finds interactions on its own"),
        "xgboost.XGBRegressor": ("n_estimators=200, learning_rate=0.1", "regularised boosting"),
        "lightgbm.LGBMRegressor": ("n_estimators=200, learning_rate=0.1", "leaf-wise boosting"),
    }, frozenset({"random_state"})),
    Family("scaling", 5.0, {
        "sklearn.preprocessing.StandardScaler": ("", "zero mean and unit variance"),
        "sklearn.preprocessing.MinMaxScaler": ("", "a fixed range keeps zeros and shapes"),
        "sklearn.preprocessing.RobustScaler": ("", "median and quartiles ignore outliers"),
        "sklearn.preprocessing.PowerTransformer": ("", "skewed features become nearly Gaussian"),
    }),
    Family("reduction", 5.5, {
        "sklearn.decomposition.PCA": ("", "the directions of largest variance"),
        "sklearn.decomposition.FastICA": ("", "independent sources instead of orthogonal directions"),
        "sklearn.decomposition.KernelPCA": ('kernel="cosine"', "curved components follow a curved manifold"),
        "sklearn.decomposition.TruncatedSVD": ("", "without centring, so that zeros stay zeros"),
        "sklearn.decomposition.NMF": ("", "additive parts instead of signed directions"),
    }, frozenset({"n_components", "random_state"}), positional=True),
    Family("vectorizer", 7.5, {
        "sklearn.feature_extraction.text.TfidfVectorizer": ("", "words found everywhere weigh less"),
        "sklearn.feature_extraction.text.CountVectorizer": ("", "plain counts keep the length of a text"),
    }, frozenset({"ngram_range", "min_df", "max_df", "max_features", "stop_words", "analyzer", "lowercase"})),
    Family("optimiser", 8.0, {
        "torch.optim.AdamW": ("", "adaptive steps with weight decay kept apart from the gradient"),
        "torch.optim.Adam": ("", "a step size of its own for every parameter"),
        "torch.optim.SGD": ("momentum=0.9", "plain steps with momentum tend to flatter minima"),
        "torch.optim.RMSprop": ("", "steps scaled by recent gradients only"),
    }, frozenset({"lr", "weight_decay"}), positional=True),
    Family("activation", 6.0, {
        "torch.nn.GELU": ("", "a smooth gate passes small negative signals"),
        "torch.nn.SiLU": ("", "a self-gated unit has gradients everywhere"),
        "torch.nn.ReLU": ("", "a hard gate makes sparse features"),
        "torch.nn.LeakyReLU": ("", "no unit can die"),
        "torch.nn.Tanh": ("", "bounded outputs keep the scale of features"),
    }),
    Family("activation", 6.0, {
        "torch.nn.functional.gelu": ("", "a smooth gate passes small negative signals"),
        "torch.nn.functional.silu": ("", "a self-gated unit has gradients everywhere"),
        "torch.nn.functional.relu": ("", "a hard gate makes sparse features"),
        "torch.nn.functional.leaky_relu": ("", "no unit can die"),
        "torch.tanh": ("", "bounded outputs keep the scale of features"),
    }, positional=True),
    Family("loss", 5.5, {
        "torch.nn.MSELoss": ("", "large errors count most"),
        "torch.nn.SmoothL1Loss": ("", "outliers pull linearly instead of quadratically"),
        "torch.nn.L1Loss": ("", "the median instead of the mean"),
    }),
)  # fmt: skip

OPTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("activation", {
        "relu": "units that switch off make sparse features", "tanh": "bounded odd units keep signals centred",
        "logistic": "every unit answers with a soft yes or no"}),
    ("activation", {
        "relu": "units that switch off make sparse features", "gelu": "a smooth gate passes small negative signals",
        "silu": "a self-gated unit has gradients everywhere", "tanh": "bounded odd units keep signals centred"}),
    ("solver", {
        "adam": "every parameter gets a step size of its own", "sgd": "plain gradient steps find flat minima",
        "lbfgs": "curvature from the full batch converges on little data"}),
    ("solver", {
        "lbfgs": "quasi-Newton curvature converges in few passes", "liblinear": "coordinate descent treats classes one by one",
        "saga": "variance-reduced stochastic steps", "newton-cg": "exact curvature, solved by conjugate gradients"}),
    ("learning_rate", {
        "constant": "steps keep their size", "adaptive": "steps shrink once progress stalls",
        "invscaling": "steps shrink with a power of time"}),
    ("kernel", {
        "rbf": "similarity fades smoothly with distance", "poly": "products of features matter",
        "linear": "a flat boundary suffices in many dimensions", "sigmoid": "similarity saturates"}),
    ("weights", {"uniform": "all neighbours vote alike", "distance": "closer neighbours should have more say"}),
    ("criterion", {"gini": "impurity by squares", "entropy": "impurity by information"}),
    ("criterion", {
        "squared_error": "large residuals count most", "absolute_error": "splits by medians resist outliers",
        "friedman_mse": "splits are judged by the improvement they promise"}),
    ("loss", {
        "squared_error": "large residuals count most", "huber": "outliers pull linearly beyond a threshold",
        "absolute_error": "the median resists outliers"}),
    ("loss", {
        "hinge": "only examples near the margin matter", "log_loss": "probabilities are fitted",
        "modified_huber": "a smooth margin tolerates outliers"}),
    ("metric", {
        "euclidean": "straight distance", "manhattan": "differences add up feature by feature",
        "cosine": "only directions are compared"}),
    ("max_features", {"sqrt": "few candidates a split make trees differ", "log2": "even fewer candidates a split"}),
    ("penalty", {"l2": "weights shrink together", "l1": "useless weights become zero", "elasticnet": "both at once"}),
    ("analyzer", {"word": "words carry the meaning", "char_wb": "pieces of words survive misspellings"}),
    ("gamma", {"scale": "the width follows the variance", "auto": "the width follows the number of features"}),
    ("strategy", {"mean": "the average", "median": "resists outliers", "most_frequent": "the usual value"}),
    ("strategy", {"quantile": "equally filled bins", "uniform": "equally wide bins", "kmeans": "bins around centres"}),
    ("optimizer", {
        "adamw": "adaptive steps with decay kept apart", "adam": "every parameter gets a step size of its own",
        "sgd": "plain gradient steps find flat minima", "rmsprop": "steps scaled by recent gradients"}),
)  # fmt: skip

# Not a matter of method, whatever the task: the seed, what is read and written, how the data is laid
# out or evaluated, and how the machine is used.
UNTOUCHABLE = re.compile(
    r"seed|random_state|(^|_)(rng|path|file|folder|dir|name|id|ids|idx|index|col|cols|column|columns|row|"
    r"rows|key|keys|axis|shape|url|host|port|device|dtype|version|class|classes|vocab|labels?(?!_smooth)|"
    r"targets?|inputs?|outputs?|in|out|n_features|num_features|image|channels?|height|kernel_size|stride|"
    r"padding|jobs|workers?|threads?|verbose|log|print|debug|test|eval|cv|folds?|splits?|timeout|limit|"
    r"count|total|n_points|n_samples|n_examples|header|sep|delimiter|encoding|newline|indent|mode|type|nargs|format|copy|tol|eps|memory|cache|"
    r"warm_start|keepdims?|retain_graph|set_to_none|interval|every|freq)(_|$)|return_|check_|allow_|"
    r"^dims?$|(^|_)(required|parents|exist_ok|pin|drop_last|shuffle|probability|store_cv|precompute|feature_names)"
)
