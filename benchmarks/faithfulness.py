"""Do maps mark what a model uses? Ours and others', by yardsticks that others made.

Small models of six families are trained on drawn pictures (see `small_models`), kept in the folder
and explained on pictures they have not seen: with `epsilon_plus_flat`, which was the composite for
every model (`before`), with what auto takes now (`now`; of a model with parts of a transformer, a
composite chosen by faithfulness on 16 other pictures), by zennit, captum, LXT (of its authors'
gammas those most faithful on the same 16), Grad-CAM, gradient x input, and by chance.
Each method is measured by

    deletion   how far the logit falls when the cells with most relevance are filled with the mean
               colour, 10 to 50 % of 8 x 8 (Samek et al. 2017)
    insertion  how much of it they bring back, put into a picture of the mean colour (Petsiuk 2018)
    flipping   mean probability of the class while pixels are set to the mean, most relevant first;
               by Quantus (Hedstroem et al. 2023); less is better
    parts      of two parts of one picture, how often the one without which the logit falls further
               has more relevance: the single deletion of FunnyBirds (Hesse et al. 2023)
    weights    |cosine| of maps, averaged over 4 noisy copies, before and after all weights are
               shuffled (Smooth MPRT, Hedstroem et al. 2024); less is better
    registers  share of |relevance| on tokens whose norm is beyond mean + 4 SD

deletion and insertion are in units of the median picture's logit. Each is a mean over pictures with
a bootstrap 95 % interval. A second table says where `now` is ahead of each other method, or behind:
the 95 % interval of the difference, picture by picture, lies on one side of zero; elsewhere it is
equal as far as these pictures tell. A row is kept in the folder as soon as it is measured, and the
command goes on where it stopped.

Run it as `python -m benchmarks.faithfulness --folder FOLDER`. LXT needs older versions of others'
packages, so `--lxt` names a folder that has them (see docs/relevance.md); without it, LXT is left
out. With `--randomisation` the check of that name is compared with itself on noisy copies instead.
"""

# Long because: the methods that are compared and the yardsticks are one table.

from __future__ import annotations

import argparse
import copy
import importlib
import json
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.lxt_maps import GAMMAS as LXT_GAMMAS
from benchmarks.lxt_maps import explained
from benchmarks.small_models import FAMILIES, Pictures, accuracy, pictures, trained
from melaudit.audit.method import faithful_enough
from melaudit.detectors.checks.faithfulness import by_relevance, grid, without
from melaudit.detectors.checks.randomisation import when_shuffled
from melaudit.errors import MelauditError
from melaudit.relevance import Explainer
from melaudit.relevance.engines.composites import DEFAULT_COMPOSITE, EVERY_GAMMA, candidates
from melaudit.relevance.interface import TransformerPart
from melaudit.relevance.model.layer_outputs import layer_output
from melaudit.relevance.model.randomisation import cascade
from melaudit.relevance.model.tokens import as_map, unusual
from melaudit.statistics.estimates import mean

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the cells, that are deleted or inserted."""
CHOOSING = 16
"""Pictures that the composite is chosen on; none of them is measured on."""
NOISY = 4
"""Copies that maps are averaged over for `weights`."""
NOISE = 0.1
"""Standard deviation of their noise, of pixels from -1 to 1."""
WEIGHED = 6
"""Pictures for `weights`, at most."""

Values = NDArray[np.float64]
Method = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""From a model, pictures x (n, 3, h, w) and classes (n,) to maps (n, h, w)."""

COLUMNS = ("deletion", "insertion", "flipping", "parts", "weights", "registers")
LESS_IS_BETTER = ("flipping", "weights")


def main() -> None:
    """Measure what is missing, and print the table."""
    options = _options()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if options.randomisation:
        _compare_randomisation(folder, options)
        return
    for family in options.families:
        asked = [m for m in options.methods if m != "lxt" or options.lxt]
        missing = [m for m in asked if not _file(folder, family, m).exists()]
        if not missing:
            continue
        model = trained(family, folder, options.training, options.epochs)
        data = pictures(1, CHOOSING + options.images, taken_apart=True)
        print(f"{family}: accuracy {accuracy(model, data.x, data.labels):.3f}", flush=True)
        for method in missing:
            began = time.process_time()
            row = measured(model, data, method, options.lxt)
            row["seconds"] = round(time.process_time() - began, 1)
            _file(folder, family, method).write_text(json.dumps(row), encoding="utf-8")
            print(written(family, method, row), flush=True)
    print("| model | method |" + "".join(f" {c} |" for c in COLUMNS))
    print("| --- |" * 1 + " --- |" * (1 + len(COLUMNS)))
    rows = {
        (family, method): json.loads(file.read_text(encoding="utf-8"))
        for family in options.families
        for method in options.methods
        if (file := _file(folder, family, method)).exists()
    }
    for (family, method), row in rows.items():
        print(written(family, method, row))
    print("\n| model | now beside |" + "".join(f" {c} |" for c in COLUMNS[:-1]))
    print("| --- |" * 1 + " --- |" * len(COLUMNS))
    for (family, method), row in rows.items():
        own = rows.get((family, "now"))
        if own is not None and method not in ("now", "random") and "fails" not in row:
            print(f"| {family} | {method} | " + " | ".join(compared(own, row)) + " |")


def measured(
    model: nn.Module, data: Pictures, name: str, lxt: Path | None = None
) -> dict[str, object]:
    """Return one row: yardstick -> [mean, low, high], or why the method has no maps."""
    x = data.x[CHOOSING:]
    with torch.no_grad():
        logits = model(x)
    target = logits.argmax(1)
    start = _of(logits, target)
    row: dict[str, object] = {}
    try:
        method, row["as"] = methods(model, data.x[:CHOOSING], lxt)[name]()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            maps = method(model, x, target).detach().float()
    except Exception as error:  # another library may fail in any way
        return {
            "fails": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        }
    if not bool(maps.isfinite().all()):
        return {"fails": "maps that are not finite"}
    scale = float(np.median(np.abs(start)))
    deleted, inserted = _cells(model, x, target, maps, start)
    found: dict[str, Values] = {
        "deletion": deleted / scale,
        "insertion": inserted / scale,
        "parts": _parts(model, data, maps, target, start),
        "weights": _weights(method, model, x[:WEIGHED], target[:WEIGHED]),
    }
    flipped = _flipped(model, x, target, maps)
    if flipped is not None:
        found["flipping"] = flipped
    on_registers = _registers(model, x, maps)
    if on_registers is not None:
        found["registers"] = on_registers
    for column, values in found.items():
        known = values[np.isfinite(values)]
        if len(known):
            estimate = mean(known, 0)
            row[column] = [estimate.value, estimate.low, estimate.high]
    row["values"] = {column: values.tolist() for column, values in found.items()}
    return row


def methods(
    model: nn.Module, choosing: Tensor, lxt: Path | None
) -> Mapping[str, Callable[[], tuple[Method, str]]]:
    """Return name -> what gives the method, and what it stands for on this model."""
    return {
        "before": lambda: (_lrp(DEFAULT_COMPOSITE), DEFAULT_COMPOSITE),
        "now": lambda: _chosen(model, choosing),
        **{name: partial(_named, name) for name in EVERY_GAMMA},
        "zennit": lambda: (_zennit, "EpsilonPlusFlat, canonizer auto"),
        "captum": lambda: (_captum, "LRP"),
        "lxt": lambda: _lxt(model, choosing, lxt),
        "grad_cam": lambda: (_grad_cam, "at the concept layer"),
        "gradient_x_input": lambda: (_gradient, ""),
        "random": lambda: (_random, ""),
    }


METHODS = ("before", "now", "zennit", "captum", "lxt", "grad_cam", "gradient_x_input", "random")


def _named(composite: str) -> tuple[Method, str]:
    return _lrp(composite), composite


def _lrp(composite: str) -> Method:
    def method(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
        with Explainer(model, composite=composite) as explainer:
            return explainer.lrp(x, target)

    return method


def _chosen(model: nn.Module, x: Tensor) -> tuple[Method, str]:
    """Return what auto takes: of a model like a transformer, a composite chosen on pictures x."""
    with Explainer(model) as explainer:
        parts = explainer.transformer_parts(x)
    if not parts:
        return _lrp(DEFAULT_COMPOSITE), DEFAULT_COMPOSITE
    with torch.no_grad():
        target = model(x).argmax(1)
    names = candidates(attention=TransformerPart.ATTENTION in parts)
    maps = {name: _lrp(name)(model, x, target) for name in names}
    taken, _ = faithful_enough(_by_deletion(model, x, maps), 0)
    return _lrp(taken), taken


def _by_deletion(model: nn.Module, x: Tensor, maps: Mapping[str, Tensor]) -> dict[str, Values]:
    """Return for maps (n, h, w) of the predicted classes how far deletion makes the logits fall."""
    with torch.no_grad():
        logits = model(x)
    target = logits.argmax(1)
    start = _of(logits, target)
    return {name: _cells(model, x, target, each, start)[0] for name, each in maps.items()}


def _zennit(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    with Explainer(copy.deepcopy(model), engine="zennit") as explainer:
        return explainer.lrp(x, target)


def _captum(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    captum: Any = importlib.import_module("captum.attr")
    found: Tensor = captum.LRP(copy.deepcopy(model)).attribute(x.clone(), target=target)
    return found.sum(1)


def _lxt(model: nn.Module, x: Tensor, packages: Path | None) -> tuple[Method, str]:
    """Return LXT with those of its authors' gammas that are most faithful on x."""
    assert packages is not None
    with torch.no_grad():
        target = model(x).argmax(1)
    tried = explained(packages, model, x, target, LXT_GAMMAS)
    falls = _by_deletion(model, x, {str(i): maps for i, maps in enumerate(tried)})
    chosen = LXT_GAMMAS[int(np.argmax([np.nanmean(values) for values in falls.values()]))]

    def method(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
        return explained(packages, model, x, target, [chosen])[0]

    return method, f"gamma {chosen[0]:g} for convolutions, {chosen[1]:g} for linear layers"


def _grad_cam(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    with Explainer(model) as explainer:
        coarse = explainer.grad_cam(x, target, explainer.choose_layer(x)).maps()
    return functional.interpolate(coarse[:, None], x.shape[2:], mode="bilinear")[:, 0]


def _gradient(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    with Explainer(model, engine="gradient_x_input") as explainer:
        return explainer.lrp(x, target)


def _random(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    return torch.randn(len(x), *x.shape[2:], generator=torch.Generator().manual_seed(len(x)))


def _of(logits: Tensor, target: Tensor) -> Values:
    values: Values = logits.gather(1, target[:, None])[:, 0].double().numpy()
    return values


def _cells(
    model: nn.Module, x: Tensor, target: Tensor, maps: Tensor, start: Values
) -> tuple[Values, Values]:
    """Return for each picture how far deletions make the logit fall, and what insertions regain."""
    cells = grid(*x.shape[2:])
    falls, gains = np.full(len(x), np.nan), np.full(len(x), np.nan)
    for i, picture in enumerate(x):
        relevance = maps[i].double().numpy()
        if not (relevance > 0).any():
            continue
        order = by_relevance(relevance, cells)
        counts = [max(1, round(share * len(order))) for share in SHARES]
        removed = [order[:count] for count in counts]
        left = [order[count:] for count in counts]
        with torch.no_grad():
            logits = model(without(picture, cells, [*removed, *left, order]))
        of_target = logits[:, int(target[i])].double().numpy()
        falls[i] = start[i] - of_target[: len(counts)].mean()
        gains[i] = of_target[len(counts) : -1].mean() - of_target[-1]
    return falls, gains


def _parts(model: nn.Module, data: Pictures, maps: Tensor, target: Tensor, start: Values) -> Values:
    """Return for each picture the share of its pairs of parts that relevance puts in order."""
    apart, masks = data.without[CHOOSING:], data.masks[CHOOSING:]
    shown = data.parts[CHOOSING:]
    with torch.no_grad():
        logits = torch.cat([model(each) for each in apart]).reshape(*apart.shape[:2], -1)
    ordered = np.full(len(maps), np.nan)
    for i in range(len(maps)):
        own = np.flatnonzero(shown[i])
        falls = start[i] - logits[i, own, int(target[i])].double().numpy()
        held = np.array([float(maps[i].numpy()[masks[i, part]].sum()) for part in own])
        pairs = [(a, b) for a in range(len(own)) for b in range(a)]
        if pairs:
            ordered[i] = np.mean(
                [float((falls[a] - falls[b]) * (held[a] - held[b]) > 0) for a, b in pairs]
            )
    return ordered


def _weights(method: Method, model: nn.Module, x: Tensor, target: Tensor) -> Values:
    """Return |cosine| of maps averaged over noisy copies, before and after a shuffle: (n,)."""
    shuffled = copy.deepcopy(model)
    list(cascade(shuffled, (1.0,), 0))
    noise = torch.randn(NOISY, *x.shape, generator=torch.Generator().manual_seed(0)) * NOISE
    own, other = (
        sum((method(m, x + n, target).detach() for n in noise), torch.zeros(()))[:, None]
        for m in (model, shuffled)
    )
    a, b = (functional.adaptive_avg_pool2d(m.double(), 16).flatten(1) for m in (own, other))
    similar: Values = functional.cosine_similarity(a, b).abs().numpy()
    return similar


def _flipped(model: nn.Module, x: Tensor, target: Tensor, maps: Tensor) -> Values | None:
    """Return the area under Quantus' pixel flipping, (n,); None where it is not installed."""
    try:
        quantus: Any = importlib.import_module("quantus")
    except ImportError:
        return None
    metric = quantus.PixelFlipping(
        features_in_step=x[0, 0].numel() // 16,
        perturb_baseline="mean",
        disable_warnings=True,
    )
    full = maps.flatten(1).abs().amax(1) > 0  # Quantus refuses maps of nothing
    area = np.full(len(maps), np.nan)
    x, target, maps = x[full], target[full], maps[full]
    if not len(x):
        return area
    curves = metric(  # not its area, for which it calls a function that numpy no longer has
        model=model,
        x_batch=x.numpy(),
        y_batch=target.numpy(),
        a_batch=maps[:, None].numpy(),
        softmax=True,
        device="cpu",
    )
    area[full.numpy()] = np.asarray(curves, np.float64).mean(1)
    return area


def _compare_randomisation(folder: Path, options: argparse.Namespace) -> None:
    """Print what the check `randomisation` makes of each family, on images and on noisy copies."""
    print("| model | composite | copies | all weights | upper half | last layer | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for family in options.families:
        model = trained(family, folder, options.training, options.epochs)
        x = pictures(1, CHOOSING + WEIGHED).x
        composite = _chosen(model, x[:CHOOSING])[1]
        for copies in (1, NOISY):
            began, found = time.process_time(), []
            with Explainer(model, composite=composite) as explainer:
                for i, image in enumerate(x[CHOOSING:]):
                    target = explainer.logits(image[None]).argmax(1)
                    found.append(when_shuffled(explainer, image[None], target, i, copies))
            seconds = (time.process_time() - began) / len(found)
            medians = [
                float(np.median([f[depth] for f in found])) for depth in ("all", "half", "head")
            ]
            cells = " | ".join(f"{median:.2f}" for median in medians)
            print(f"| {family} | {composite} | {copies} | {cells} | {seconds:.2f} |", flush=True)


def _registers(model: nn.Module, x: Tensor, maps: Tensor) -> Values | None:
    """Return the share of |relevance| on tokens of unusual norm, (n,); None without tokens."""
    with Explainer(model) as explainer:
        try:
            layer = explainer.choose_layer(x)
        except MelauditError:
            return None
    output = layer_output(model, x, layer)[1]
    tokens = as_map(output, *x.shape[2:])
    if tokens is None or output.shape == tokens.shape:  # no tokens, but a map
        return None
    at = functional.interpolate(unusual(tokens)[:, None].float(), x.shape[2:])[:, 0]
    size = maps.abs()
    share: Values = ((size * at).sum((1, 2)) / size.sum((1, 2))).double().numpy()
    return share


def written(family: str, method: str, row: Mapping[str, object]) -> str:
    """Return a row of the table."""
    if "fails" in row:
        return f"| {family} | {method} | {row['fails']} |"
    cells = []
    for column in COLUMNS:
        found = row.get(column)
        if isinstance(found, list):
            value, low, high = found
            cells.append(f"{value:.3f} ({low:.3f} to {high:.3f})")
        else:
            cells.append("")
    known = row.get("as") or ""
    named = f"{method} ({known})" if method in ("now", "lxt") else method
    return f"| {family} | {named} | " + " | ".join(cells) + " |"


def compared(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return for each yardstick where one row is ahead of another, or behind, by how much."""
    said = []
    for column in COLUMNS[:-1]:
        pair = [np.array(row["values"].get(column, []), np.float64) for row in (own, other)]
        if len(pair[0]) != len(pair[1]):
            said.append("")
            continue
        more = (pair[1] - pair[0]) if column in LESS_IS_BETTER else (pair[0] - pair[1])
        known = more[np.isfinite(more)]
        if not len(known):
            said.append("")
            continue
        gain = mean(known, 0)
        word = "ahead" if gain.low > 0 else "behind" if gain.high < 0 else "equal"
        said.append(f"{word}, {gain.value:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})")
    return said


def _file(folder: Path, family: str, method: str) -> Path:
    return folder / f"row-{family}-{method}.json"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faithfulness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Callable[..., object] = parser.add_argument
    add("--folder", type=Path, required=True, help="where models and rows are kept")
    add("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    add("--methods", nargs="+", default=list(METHODS), choices=[*METHODS, *EVERY_GAMMA])
    add("--images", type=int, default=40, help="that are measured on")
    add("--training", type=int, default=1000, help="pictures to train on")
    add("--epochs", type=int, default=12)
    add("--lxt", type=Path, help="a folder with lxt in it, for the row of that name")
    add("--randomisation", action="store_true", help="the check on 1 and on 4 copies, instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
