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
    Scale("share", (r"drop", r"momentum", r"^beta_?[12]?$", r"subsample", r"colsample", r"smoothing",
                    r"fraction", r"ratio", r"_frac$", r"decay_rate", r"prob(ability)?$",
                    r"(mutation|crossover|exploration|cooling)_rate"), 5.0,
          "a stronger effect of it may be what the data needs",
          "a weaker effect of it leaves more of the signal"),
    Scale("strength", (r"alpha", r"weight_decay", r"(^|_)l[12](_|$)", r"lambda", r"penalty", r"^c$",
                       r"(^|_)reg(ulari[sz]ation)?(_|$)", r"gamma", r"shrinkage", r"var_smoothing",
                       r"temperature", r"epsilon$", r"noise", r"sigma", r"bandwidth"), 6.0,
          "the present strength may be too timid by an order of magnitude",
          "the present strength may be too harsh by an order of magnitude"),
    Scale("batch", (r"batch_size",), 5.0,
          "averaging over more examples makes each step less noisy",
          "more and noisier updates come out of the same data"),
    Scale("length", (r"epochs?$", r"max_iter", r"iterations?$", r"(^|_)steps$", r"n_estimators",
                     r"rounds$", r"trees$", r"generations$", r"n_init", r"restarts$", r"patience"), 7.0,
          "what is learnt has not levelled off at the present length",
          "stopping sooner keeps it from learning the noise"),
    Scale("size", (r"hidden", r"units", r"width", r"layers?(_|$)", r"depth", r"components", r"neighbou?rs",
                   r"bins$", r"degree", r"clusters", r"heads", r"embed", r"max_features",
                   r"leaf", r"leaves", r"min_samples", r"window", r"order$", r"population", r"knots",
                   r"filters", r"ngram", r"history", r"(^|_)lags?$"), 6.0,
          "more capacity captures structure that is missed now",
          "a smaller one varies less with the few examples there are"),
)  # fmt: skip

UNKNOWN = Scale("unknown", (), 2.0, "the present value looks low", "the present value looks high")


def scale_of(name: str) -> Scale:
    """The scale that a setting of this name varies on, UNKNOWN when its name tells nothing."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    known = (s for s in SCALES if any(re.search(word, snake) for word in s.words))
    return next(known, UNKNOWN)


def nearby(scale: Scale, value: int | float) -> list[int | float]:
    """Values of a setting that a researcher would try next, the most promising first."""
    if scale.what == "share" and 0 <= value <= 1:
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
    return [float(f"{value * factor:.3g}") for factor in factors]


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
    return [float(f"{number:.3g}") for number in near if 0 < number < 1]


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

OPTIONS = (
    ("activation", ("relu", "tanh", "logistic")),
    ("activation", ("relu", "gelu", "silu", "tanh")),
    ("solver", ("adam", "sgd", "lbfgs")),
    ("solver", ("lbfgs", "liblinear", "saga", "newton-cg")),
    ("learning_rate", ("constant", "adaptive", "invscaling")),
    ("kernel", ("rbf", "poly", "linear", "sigmoid")),
    ("weights", ("uniform", "distance")),
    ("criterion", ("gini", "entropy")),
    ("criterion", ("squared_error", "absolute_error", "friedman_mse")),
    ("loss", ("squared_error", "huber", "absolute_error")),
    ("loss", ("hinge", "log_loss", "modified_huber")),
    ("metric", ("euclidean", "manhattan", "cosine")),
    ("max_features", ("sqrt", "log2")),
    ("penalty", ("l2", "l1", "elasticnet")),
    ("analyzer", ("word", "char_wb")),
    ("gamma", ("scale", "auto")),
    ("strategy", ("mean", "median", "most_frequent")),
    ("strategy", ("quantile", "uniform", "kmeans")),
    ("init", ("k-means++", "random")),
    ("optimizer", ("adamw", "adam", "sgd", "rmsprop")),
)

# Not a matter of method, whatever the task: the seed, what is read and written, how the data is laid
# out or evaluated, and how the machine is used.
UNTOUCHABLE = re.compile(
    r"seed|random_state|(^|_)(rng|path|file|folder|dir|name|id|ids|idx|index|col|cols|column|columns|row|"
    r"rows|key|keys|axis|shape|url|host|port|device|dtype|version|class|classes|vocab|labels?(?!_smooth)|"
    r"targets?|inputs?|outputs?|in|out|n_features|num_features|image|channels?|height|kernel_size|stride|"
    r"padding|jobs|workers?|threads?|verbose|log|print|debug|test|eval|cv|folds?|splits?|timeout|limit|"
    r"header|sep|delimiter|encoding|newline|indent|mode|type|nargs|format|copy|tol|eps|memory|cache|"
    r"warm_start|keepdims?|retain_graph|set_to_none|interval|every|freq)(_|$)|return_|check_|allow_|"
    r"^dims?$|(^|_)(required|parents|exist_ok|pin|drop_last|shuffle|probability|store_cv|precompute|feature_names)"
)
