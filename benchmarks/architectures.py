"""Does relevance hold on this architecture? A table over every family there is.

Each model gets random weights and random BatchNorm statistics (or a checkpoint's), and two random
images. The columns:

    outputs    largest difference between the logits under the engine and without it, relative
    ledger     largest |input relevance + absorbed - start| / |start|
    sum        input relevance / start: what the input explains; the rest was absorbed
    peak       largest max|R| / |sum R| at the layer of the conditional maps
    classes    mean |cosine| between the maps of two classes; 1.00 means maps that do not care
    channels   mean |cosine| between the conditional maps of six channels, as above
    closed     largest |map + absorbed - the channel's own relevance|, relative to the largest
    zennit     zennit's own sum with the canonizers that fit, or how it fails
    unknown    operations that the engine had no rule for

Run it as `python -m benchmarks.architectures --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import normalize

from melaudit.errors import MelauditError
from melaudit.models.architectures import load_model
from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.dataflow.passes import Pass
from melaudit.relevance.engines.composites import DEFAULT_COMPOSITE, NAMES, find_composite
from melaudit.relevance.engines.zennit import ZennitEngine
from melaudit.relevance.model.layers import concept_layer
from melaudit.relevance.model.outputs import find_logits

TORCHVISION = (
    "alexnet vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 squeezenet1_1 "
    "inception_v3 googlenet densenet121 mobilenet_v2 mobilenet_v3_small mnasnet0_5 "
    "shufflenet_v2_x0_5 efficientnet_b0 efficientnet_v2_s regnet_x_400mf regnet_y_400mf "
    "convnext_tiny swin_t swin_v2_t maxvit_t vit_b_16"
).split()
"""One small member of every family of classifiers in torchvision."""

TIMM = (
    "beit_base_patch16_224 cait_xxs24_224 coat_tiny convmixer_768_32 convnextv2_atto "
    "crossvit_tiny_240 deit_tiny_patch16_224 densenet121 edgenext_xx_small "
    "efficientnet_b0 efficientformer_l1 ghostnet_100 halonet26t levit_128s mixer_s16_224 "
    "mobilevit_xxs nf_resnet26 pit_ti_224 poolformer_s12 pvt_v2_b0 regnety_002 resnest14d "
    "resnetv2_50 sebotnet33ts_256 seresnext26d_32x4d tf_efficientnet_b0 tnt_s_patch16_224 "
    "twins_pcpvt_small volo_d1_224 xcit_nano_12_p16_224"
).split()
"""Families that timm adds."""

FIXED_SIZES = {"inception_v3": 299, "vit_b_16": 224, "maxvit_t": 224}
"""Models that take images of one size only."""

COLUMNS = ("model", "outputs", "ledger", "sum", "peak", "classes", "channels", "closed", "seconds")


def main() -> None:
    """Print the table."""
    options = _options()
    torch.manual_seed(options.seed)
    names = options.models or [*TORCHVISION, *(f"timm:{n}" for n in TIMM if options.timm)]
    if options.all:
        names = list(torchvision.models.list_models(torchvision.models))
    print(f"{COLUMNS[0]:26}" + "".join(f"{c:>10}" for c in COLUMNS[1:]), "   zennit  unknown")
    for name in [*names, *options.checkpoint]:
        torch.manual_seed(options.seed)
        try:
            row = examine(name, build(name, options.classes), options)
        except MelauditError as error:
            row = f"  {error}"
        except Exception as error:
            row = f"  {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            if options.debug:
                raise
        print(f"{_short(name):26}{row}", flush=True)
        gc.collect()


def examine(name: str, model: nn.Module, options: argparse.Namespace) -> str:
    """Return the row of one model, without its name."""
    own = getattr(model, "default_cfg", {}).get("input_size", (3, options.size))[-1]
    size = FIXED_SIZES.get(name, own)
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        plain = find_logits(model(x))
    target = torch.tensor([1, 2]) % plain.shape[1]
    layer = _layer(model, x)
    began = time.perf_counter()
    composite = find_composite(options.composite)
    with DataflowEngine(model, composite, plain.shape[1], options.biased) as engine:
        run = engine.run(x, target, [layer] if layer else [])
        first = run.attribution(keep=True)
        seconds = time.perf_counter() - began
        channels, closed = _conditional(run, layer) if layer else (float("nan"),) * 2
        other = engine.attribute(x, (target + 3) % plain.shape[1], []).maps
    sums = first.maps.sum((1, 2))
    absorbed = torch.full_like(sums, torch.nan) if first.absorbed is None else first.absorbed
    figures = (
        float((first.logits - plain).abs().max() / plain.abs().max()),
        float(((sums + absorbed - first.start) / first.start).abs().max()),
        float((sums / first.start).mean()),
        max((float(p.max()) for p in first.peaks.values()), default=float("nan")),
        float(_cosines(first.maps, other).abs().mean()),
        channels,
        closed,
        seconds,
    )
    zennit = "" if options.no_zennit else _zennit(model, x, target, options)
    unknown = ", ".join(first.unknown) or "-"
    return "".join(f"{f:10.3g}" for f in figures) + f" {zennit:>9}  {unknown} [{layer}]"


def build(name: str, classes: int) -> nn.Module:
    """Build a model by name: torchvision's, `timm:NAME`, or `CHECKPOINT[:FILE.py:function]`."""
    if name.startswith("timm:"):
        import timm

        model: nn.Module = timm.create_model(name[5:], pretrained=False, num_classes=classes)
    elif name.partition(":")[0].endswith(".pt"):
        file, _, factory = name.partition(":")
        return load_model(Path(file), factory=factory or None).model
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torchvision.models.get_model(name, num_classes=classes)
    randomise_norms(model)
    return model.eval()


def _short(name: str) -> str:
    """Return a name without the folders of a checkpoint and without its factory."""
    file = name.partition(":")[0]
    return Path(file).name if file.endswith(".pt") else name


def randomise_norms(model: nn.Module) -> None:
    """Give every BatchNorm statistics that are neither 0 nor 1, and weights to what has none."""
    for parameter in model.parameters():
        if not parameter.any() and parameter.ndim > 1:
            parameter.data.normal_(0, 0.05)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            for mean, spread, tensor in (
                (0.0, 0.1, module.running_mean),
                (0.0, 0.1, module.bias),
                (1.0, 0.25, module.running_var),
                (1.0, 0.25, module.weight),
            ):
                if tensor is not None:
                    tensor.data.normal_(mean, spread).clamp_(-2, 2)
                    if mean:
                        tensor.data.clamp_(min=0.5)


def _conditional(run: Pass, layer: str) -> tuple[float, float]:
    """Return how alike the maps of six channels are, and how far from their own relevance."""
    tap = run.flow.taps[layer]
    concepts = run.attribution(keep=True).concepts[layer]
    top = concepts.abs().mean(0).topk(min(6, tap.channels)).indices
    conditional = run.conditional(layer, torch.eye(tap.channels)[top])
    alike = _cosines(conditional.maps[:, :, None], conditional.maps[:, None]).abs()
    mean = alike[:, ~torch.eye(len(top), dtype=torch.bool)].mean()
    if conditional.absorbed is None:
        return float(mean), float("nan")
    left = conditional.maps.sum((2, 3)) + conditional.absorbed - conditional.relevance
    return float(mean), float(left.abs().max() / conditional.relevance.abs().max())


def _cosines(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosines between maps (..., H, W), however small they are."""
    a, b = (
        normalize(m.flatten(-2) / m.abs().amax((-2, -1))[..., None].clamp_min(1e-30), dim=-1)
        for m in (a, b)
    )
    return (a * b).sum(-1)


def _layer(model: nn.Module, x: Tensor) -> str:
    """Return a layer to condition on: the concept layer, or a late block of a transformer."""
    with contextlib.suppress(MelauditError):
        return concept_layer(model, x)
    for stem in ("encoder.layers", "blocks", "layers", "stages", "network", "features"):
        with contextlib.suppress(AttributeError, IndexError):
            block, path = model.get_submodule(stem), stem
            while path == stem or type(block) is nn.ModuleList:  # of stages of blocks, in twins
                name, block = list(block.named_children())[-2:][0]
                path = f"{path}.{name}"
            return path
    return ""


def _zennit(model: nn.Module, x: Tensor, target: Tensor, options: argparse.Namespace) -> str:
    """Return zennit's sum of input relevance over start, or how it fails."""
    try:
        with _silent(), ZennitEngine(model, find_composite(options.composite)) as engine:
            found = engine.attribute(x, target, [])
        return f"{float((found.maps.sum((1, 2)) / found.start).mean()):.3g}"
    except MelauditError:
        return "fails"


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.architectures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Callable[..., object] = parser.add_argument
    add("models", nargs="*", help="torchvision names or timm:NAME (default: every family)")
    add(
        "--checkpoint",
        action="append",
        default=[],
        help="a trained model besides: FILE.pt, or FILE.pt:FILE.py:function",
    )
    add("--timm", action="store_true", help="add the families of timm")
    add("--all", action="store_true", help="every classifier builder in torchvision")
    add("--composite", choices=NAMES, default=DEFAULT_COMPOSITE)
    add("--size", type=int, default=224, help="image size (default 224)")
    add("--classes", type=int, default=10, help="outputs of the model (default 10)")
    add("--seed", type=int, default=0)
    add("--biased", action="store_true", help="let biases absorb relevance, as zennit does")
    add("--no-zennit", action="store_true", help="leave zennit's column out")
    add("--debug", action="store_true", help="stop at the first error, with its traceback")
    return parser.parse_args()


if __name__ == "__main__":
    main()
