"""Fault operators that are a slip of the pen: what a regular expression finds becomes something else."""

from tests.bench.debugging.operators import slip

# --- shapes -------------------------------------------------------------------------------------
slip(
    "axis-wrong",
    "shape",
    "an operation works along an axis that is not there, or not the right one",
    (r"\b(dim|axis)=1\b", r"\1=3"),
    (r"\b(dim|axis)=2\b", r"\1=0"),
    (r"dim=0\b", "dim=1"),
)
slip(
    "reduced-too-far",
    "shape",
    "a reduction over one axis takes all of them",
    (r"\.(amax|mean|sum|max|std|argmax)\((?:dim|axis)=\d\)", r".\1()"),
)
slip(
    "reshape-missing",
    "shape",
    "a value is used without being brought into shape",
    (r"\.(?:unsqueeze|flatten)\(-?\d\)", ""),
    (r"\.(?:view|reshape)\([^()]*(?:\([^()]*\))?[^()]*\)", ""),
    (r"\.transpose\(\d, \d\)", ""),
)
slip(
    "width-wrong",
    "shape",
    "a layer expects another width than it is given",
    (r"nn\.(Linear|Conv2d|BatchNorm1d|BatchNorm2d)\(([^,()]+)", r"nn.\1(2 * \2"),
    (r"nn\.(Linear|GRU|Embedding)\(([^,()]+), ([^,()]+)", r"nn.\1(\2, \3 + 1"),
)
slip(
    "stacked-for-joined",
    "shape",
    "arrays are stacked where they should be joined, or the other way round",
    (r"torch\.cat\(", "torch.stack("),
    (r"np\.concatenate\(", "np.stack("),
    (r"torch\.stack\(", "torch.cat("),
    (r"np\.stack\(", "np.concatenate("),
)
slip(
    "product-reversed",
    "shape",
    "the factors of a product of matrices stand in the wrong order",
    (r"(\w+) @ ([\w.]+\(\w+\))", r"\2 @ \1"),
    (r"\"nph,npf->nhf\"", '"nph,nfp->nhf"'),
    (r"points\.shape\[2\]", "points.shape[1]"),
)
# --- types --------------------------------------------------------------------------------------
slip(
    "labels-as-floats",
    "dtype",
    "class numbers are turned into floats",
    (r"labels\[batch\]", "labels[batch].float()"),
    (r"(cross_entropy\([^\n]*?), (targets|first|second)\)", r"\1, \2.float())"),
    (r"torch\.tensor\(labels\)", "torch.tensor(labels).float()"),
    (r"one_hot\(labels,", "one_hot(labels.float(),"),
)
slip(
    "double-precision",
    "dtype",
    "an input is in double precision, and the weights are not",
    (r"\b(points|images|inputs|clouds)\[batch\]", r"\1[batch].double()"),
    (r"(torch\.(?:eye|zeros|ones|rand)\([^()]*)\)", r"\1, dtype=torch.float64)"),
    (r"\.float\(\)", ".double()"),
    (r"model\(view\)", "model(view.double())"),
    (r"(self\.\w+)\((features|points|pooled)\)", r"\1(\2.double())"),
)
slip(
    "conversion-missing",
    "dtype",
    "a conversion to whole numbers, or to a tensor, is left out",
    (r"\.astype\(int\)", ""),
    (r"= int\((.+)\)$", r"= \1"),
    (r"torch\.tensor\((\[.+\])\)", r"\1"),
    (r"torch\.tensor\((\w+\.\w+\(\w+\))\)", r"\1"),
    (r"\.float\(\)", ""),
    (r"\.tolist\(\)", ""),
)
slip(
    "true-division",
    "dtype",
    "a number that must be whole comes out of a division",
    (r" // ", " / "),
    (r"(\d) \* WIDTH", r"\1 / 1 * WIDTH"),
    (r"2 \* STATE", "2 / 1 * STATE"),
    (r"len\(self\.numbers\) \+ 1", "(len(self.numbers) + 1) / 1"),
)
# --- devices ------------------------------------------------------------------------------------
slip(
    "moved-to-gpu",
    "device",
    "a tensor or a model is moved to a GPU that is not there",
    (
        r"(torch\.(?:zeros|ones|rand|eye|tensor|full|randperm)\((?:[^()]|\([^()]*\))*\))",
        r'\1.to("cuda")',
    ),
    (r"^(    model = .*)$", r"\1.cuda()"),
)
slip(
    "made-on-gpu",
    "device",
    "a tensor is made on a GPU that is not there",
    (r"(torch\.(?:zeros|ones|rand|randperm|eye)\((?:[^()]|\([^()]*\))*)\)", r'\1, device="cuda")'),
    (r"torch\.Generator\(\)", 'torch.Generator("cuda")'),
)
# --- one too many, one too few ------------------------------------------------------------------
slip(
    "range-too-long",
    "off-by-one",
    "a loop goes one step too far",
    (r"range\((len\(\w+\)|\w+)\)", r"range(\1 + 1)"),
    (r"range\(([^,()]+), (.+?), (\w+)\)", r"range(\1, \2 + \3, \3)"),
)
slip(
    "one-too-few",
    "off-by-one",
    "room for one class, token or neighbour is missing",
    (r"\bCLASSES\b(?! =)", "(CLASSES - 1)"),
    (r"\b(len\(\w+\)|count) \+ 1", r"\1"),
    (r"= (len\(self\.numbers\)|len\(\w+\)) \+ 1", r"= \1"),
    (r"BINS - 1", "BINS"),
    (r"\[:, :, 1:\]", "[:, :, 2:]"),
    (r"tokens\b(?=, EMBED)", "tokens - 1"),
)
slip(
    "slice-too-short",
    "off-by-one",
    "a slice ends one too early or too late",
    (r"\[(\w*):(\w+)\]", r"[\1:\2 - 1]"),
    (r": (top|left) \+ (\w+)", r": \1 + \2 - 1"),
    (r"\[(\w+):\]", r"[\1 + 1:]"),
)
# --- state --------------------------------------------------------------------------------------
slip(
    "gradient-kept",
    "state",
    "gradients are recorded where weights are changed or values taken out",
    (r"^ *@torch\.no_grad\(\)\n", ""),
    (r"\.detach\(\)", ""),
)
slip(
    "super-missing",
    "state",
    "a module does not initialise what it inherits from",
    (r"^ *super\(\).__init__\(\)\n", ""),
)
slip(
    "fit-missing",
    "state",
    "something is used before it was fitted",
    (r"\.fit\((?:[^()]|\([^()]*\))*\)", ""),
    (r"\.fit_transform\(", ".transform("),
)
slip(
    "backward-repeated",
    "state",
    "the graph is gone when gradients are asked for again",
    (r"^( *)loss\.backward\(\)\n", r"\1loss.backward()\n\1loss.backward()\n"),
    (r"^( *)(loss = loss \+ .*)\n", r"\1loss.backward()\n\1\2\n"),
)
slip(
    "weights-not-copied",
    "state",
    "what was to be kept is not what is given back",
    (r"copy\.deepcopy\(model\.state_dict\(\)\)", "model.parameters()"),
    (r"= each\.detach\(\)\.clone\(\)", "= None"),
    (r"name: each\.detach\(\)\.clone\(\)", "name: None"),
    (r"members\.append\(member\)", "members.append(member.state_dict())"),
    (r"(centres|found|copies)\.append\((.+)\)$", r"\1 = [\2].append(\2)"),
)
# --- files --------------------------------------------------------------------------------------
slip(
    "output-elsewhere",
    "file",
    "predictions go to a folder that is not $OUT",
    (r'os\.environ\["OUT"\]', 'os.environ["OUTPUT"]'),
    (r'Path\(os\.environ\["OUT"\]\)', 'Path("outputs")'),
)
slip(
    "output-misnamed",
    "file",
    "the file of predictions has another name than the one that is read",
    (r'"predictions\.csv"', '"prediction.csv"'),
)
slip(
    "input-misnamed",
    "file",
    "a file is read that is not in $DATA",
    (r'"(train|pool)_(\w+)\.npy"', r'"\1-\2.npy"'),
    (r'"(train|pool)\.csv"', r'"\1.tsv"'),
)
slip(
    "rows-missing",
    "file",
    "not every row of the pool is predicted",
    (r'(write_predictions\(Path\(os\.environ\["OUT"\]\), predictions)\)', r"\1[:-1])"),
    (r"\.split\((\w+)\)\]\)", r".split(\1)][:-1])"),
    (r"^    return (total|model|torch\.cat|each)\b(.*)$", r"    return (\1\2)[1:]"),
)
slip(
    "format-wrong",
    "file",
    "predictions are written in a form that is not read",
    (r'(write_predictions\(Path\(os\.environ\["OUT"\]\), predictions)\)', r"\1 + 0.0)"),
    (r'\["row", "label"\]', '["id", "label"]'),
    (r"enumerate\(predictions\.tolist\(\)\)", "enumerate(predictions.tolist(), 1)"),
    (r"return total\.argmax\(axis=1\)", "return total"),
    (r"return model\.predict\((\w+)\)", r"return model.predict_proba(\1)"),
    (r"model\.classes_\[(mixed\.argmax\(axis=1\))\]", r"mixed"),
)
slip(
    "column-misnamed",
    "file",
    "a column is read that the table does not have",
    (r'row\["text"\]', 'row["sentence"]'),
    (r'row\["label"\]', 'row["target"]'),
)
# --- numbers ------------------------------------------------------------------------------------
slip(
    "not-a-number",
    "numerics",
    "a logarithm, root or division leaves the numbers",
    (r" \+ 1e-\d+", " * 0.0"),
    (r"\(1 - logs\.exp\(\)\)", "(logs.exp() - 1)"),
    (r"\.clamp\(min=1\)", " * 0"),
    (r"/ 16\.0", "/ images.std(axis=0).ravel()"),
    (r"PRIOR = 1\.0", "PRIOR = -5.0"),
    (r"- near\.max\(axis=1, keepdims=True\)", "* 1e6"),
)
slip(
    "rate-too-large",
    "numerics",
    "training diverges",
    (r"lr=LEARNING_RATE\b", "lr=1e6 * LEARNING_RATE"),
    (r"\* \(1 - SMOOTHING\)", "/ (SMOOTHING - SMOOTHING)"),
    (r"FOCUS = 1\.5", "FOCUS = -900.0"),
    (r"return -?(\w+) / (\w+\.mean\(\))$", r"return \1 / (\2 - \2)"),
)
slip(
    "division-by-zero",
    "numerics",
    "a divisor is not kept away from zero",
    (r"max\(1, ([^()]*(?:\([^()]*\))?[^()]*)\)", r"(\1) * 0"),
    (r"/ len\((\w+)\)", r"/ len(\1[:0])"),
    (r"\(10 \+ self\.steps\)", "(self.steps - 1)"),
    (r"/ warm$", "/ (warm - warm)"),
)
# --- resources ----------------------------------------------------------------------------------
slip(
    "endless-loop",
    "resource",
    "a loop never comes to its end",
    (r"^( *)for (\w+) in range\((\w+)\):", r"\1\2 = 0\n\1while \2 < \3:"),
)
slip(
    "table-too-large",
    "resource",
    "a table of all pairs is asked for that no memory holds",
    (
        r"^( *)((?:loss|features|copies|histograms|model|turned|counts|cut|described|inner) = .*)\n",
        r"\1table = np.ones((60_000, 60_000, 8))\n\1\2\n",
    ),
)
slip(
    "memory-filled",
    "resource",
    "something is kept at every step until memory is full",
    (
        r"^( *)(loss = .*|scores = .*|copies = .*|histograms = .*)\n",
        r"\1kept = []\n\1while len(kept) < 10_000:\n\1    kept.append(np.ones(4_000_000))\n\1\2\n",
    ),
)
slip(
    "native-crash",
    "resource",
    "a library is handed memory that is not there",
    (
        r"^( *)(loss = .*|reduced_pool = .*|histograms = .*|encoded = .*|padded, .*)\n",
        r"\1import ctypes\n\n\1ctypes.memset(8, 0, 64)\n\1\2\n",
    ),
)
# --- interfaces ---------------------------------------------------------------------------------
slip(
    "method-of-another-library",
    "misuse",
    "a function is called that another library has",
    (r"\.clone\(\)", ".copy()"),
    (r"\.unsqueeze\(", ".expand_dims("),
    (r"\.amax\(", ".reduce_max("),
    (r"\.clamp\(", ".clip_by_value("),
    (r"torch\.cat\(", "torch.concatenate_all("),
    (r"np\.concatenate\(", "np.cat("),
    (r"\.softmax\(", ".soft_max("),
    (r"np\.bincount\(", "np.bin_count("),
    (r"\.predict_proba\(", ".predict_probabilities("),
    (r"np\.tile\(", "np.repeat_all("),
    (r"torch\.stack\(", "torch.pack("),
)
slip(
    "function-of-the-wrong-module",
    "misuse",
    "a function is looked for in the wrong module",
    (r"nn\.functional\.", "nn."),
    (r"nn\.utils\.rnn\.", "nn.rnn."),
    (r"nn\.utils\.clip", "nn.clip"),
    (r"torch\.optim\.lr_scheduler\.", "torch.optim."),
    (r"torch\.distributions\.", "torch."),
    (r"np\.linalg\.", "np."),
)
slip(
    "result-misread",
    "misuse",
    "what a function gives back is taken for something else",
    (r"\.indices$", ""),
    (r"_, (\w+) = ", r"\1 = "),
    (r"\.cluster_centers_", ".centers_"),
    (r"\.tolist\(\)", ".to_list()"),
    (r"\.shape\[(-?\d)\]", r".shape(\1)"),
    (r"\.item\(\)", ".value"),
    (r"\.most_common\((.*?)\)", r".most_common(\1).items()"),
    (r"\.get_last_lr\(\)", ".get_rate()"),
)
slip(
    "class-for-instance",
    "misuse",
    "a class is passed where an instance is needed",
    (r"= ([A-Z]\w+)\(\)", r"= \1"),
    (r"= ([A-Z]\w+)\([^()\n]+\)$", r"= \1"),
    (r"StandardScaler\(\)", "StandardScaler"),
)
slip(
    "loss-detached",
    "misuse",
    "gradients are asked for of a number that has none",
    (r"\bloss = (.*\))$", r"loss = (\1).detach()"),
    (r"return weight \* loss(.*)$", r"return (weight * loss\1).item()"),
    (r"\.mean\(\)$", ".mean().item()"),
)
# --- configuration ------------------------------------------------------------------------------
slip(
    "constant-as-text",
    "config",
    "a number is configured as text",
    (r"^([A-Z_]{3,}) = ([\d.]+)", r'\1 = "\2"'),
)
slip(
    "constant-as-tuple",
    "config",
    "a comma makes a tuple of a number",
    (r"^([A-Z_]{3,}) = ([\d.]+)", r"\1 = (\2,)"),
)
slip(
    "constant-impossible",
    "config",
    "a number is configured that cannot work",
    (r"^([A-Z_]{3,}) = (\d+)(?![.\d])", r"\1 = -\2"),
    (r"^([A-Z_]{3,}) = (\d+)(?![.\d])", r"\1 = 0"),
    (r"^([A-Z_]{3,}) = (0\.\d+)", r"\1 = -\2"),
)
slip(
    "constant-fractional",
    "config",
    "a number that must be whole is configured as a fraction",
    (r"^([A-Z_]{3,}) = (\d+)(?![.\d])", r"\1 = \2.5"),
)
slip(
    "option-unknown",
    "config",
    "an option has a value that the library does not know",
    (r'(mode|gamma|activation|solver)="(\w+)"', r'\1="\2-like"'),
    (r"enforce_sorted=False", "enforce_sorted=True"),
    (r"SVC\(C=penalty", 'SVC(kernel="gauss", C=penalty'),
    (r"largest=False", 'largest="no"'),
    (r"shuffle=True", 'shuffle="yes"'),
)
slip(
    "variable-unset",
    "config",
    "an environment variable is read that is not set",
    (r'os\.environ\["SEED"\]', 'os.environ["RANDOM_SEED"]'),
    (r'os\.environ\["DATA"\]', 'os.environ["DATA_DIR"]'),
)
# --- far from where it shows --------------------------------------------------------------------
slip(
    "labels-not-extended",
    "distant",
    "the labels no longer belong to the rows",
    (r"np\.tile\(labels, len\(copies\)\)", "labels"),
    (r"np\.concatenate\(\[labels, guessed\[sure\]\]\)", "labels"),
    (r"labels\[rows\]", "labels"),
    (r"labels\[batch\]", "labels"),
    (r"labels\[held\]", "labels"),
    (r"labels\[order\]", "labels[order[:-1]]"),
    (r"self\.labels\[place\]", "self.labels"),
)
slip(
    "nothing-kept",
    "distant",
    "a filter lets nothing through, and what comes later has nothing to work with",
    (r">= LEAST\]", "< 0]"),
    (r"> CONFIDENCE$", "> 2.0"),
    (r"\[labels == label\]", "[labels == label + 10]"),
    (r"np\.unique\(labels\)", "np.unique(labels[:0])"),
    (r"kept if len\(kept\) else sentence", "kept[:0]"),
    (r"known or \[0\]", "[]"),
    (r"range\(MEMBERS\)", "range(MEMBERS - 3)"),
)
slip(
    "wrong-thing-passed",
    "distant",
    "one thing is passed on for another of the same kind",
    (r"features, labels\)", "labels, features)"),
    (r"encode\(pool, vocabulary\)", "pool"),
    (r"as_tensor\(pool\)\)\)", "as_tensor(images[:, :14])))"),
    (r"as_tensor\(pool\)\)$", "as_tensor(pool[:, :20]))"),
    (r"encode\(sentences, vocabulary\)", "encode(sentences, set(vocabulary))"),
    (r"Prototypes\(PER_CLASS, TEMPERATURE, seed\)", "Prototypes(seed, TEMPERATURE, PER_CLASS)"),
    (r"Attention\(4 \* WIDTH, HEADS\)", "Attention(HEADS, 4 * WIDTH)"),
    (r"make_loader\(images, labels,", "make_loader(images.squeeze(1), labels,"),
    (r"surroundings\(points, NEIGHBOURS\)", "surroundings(points, 4 * WIDTH)"),
)
