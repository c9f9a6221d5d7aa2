"""What relevance costs, in units of one forward pass of the same model on the same images.

Every round times each thing once, a plain forward pass among them, so that a busy machine slows
all alike; printed are the medians of the rounds. For a batch of images:

    forward               the model alone, without TF32 as all engines compute: the unit
    forward and backward  plain autograd, to the input
    LRP                   dataflow.attribute, no layers
    LRP, 4 layers         with concept vectors at four layers
    LRP by zennit         the same composite with the canonizers that fit

and for one image and a number of channels of the concept layer, per channel, in units of one
forward pass of that one image:

    CRP condition         dataflow.conditional, its forward pass shared by the channels
    CRP by zennit-crp     CondAttribution.generate

Peak memory is that of a fresh process, less what it took before the first pass (Linux, or CUDA).

Run it as `python -m benchmarks.relevance --help`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
import torchvision
from torch import Tensor, nn

from benchmarks.architectures import randomise_norms
from melaudit.relevance.dataflow.engine import DataflowEngine
from melaudit.relevance.engines.composites import DEFAULT_COMPOSITE, NAMES, find_composite
from melaudit.relevance.engines.zennit import ZennitEngine
from melaudit.relevance.model.layers import channels, concept_layer
from melaudit.relevance.switches import exact

Task = Callable[[], object]
_CPU_TIME = False


def main() -> None:
    """Print the tables."""
    global _CPU_TIME
    options = _options()
    _CPU_TIME = options.cpu_time
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"{options.model}, {options.batch} x {options.size}, {options.composite}, ", end="")
    print(f"{options.device}, {torch.get_num_threads()} threads, {options.rounds} rounds")
    model, x = _model_and_images(options)
    names = [name for name, _ in model.named_children() if name.startswith(("layer", "features"))]
    layers = names[:4]
    for title, tasks, each in (
        ("batch", _batch_tasks(model, x, layers, options), 1),
        ("conditions", _conditional_tasks(model, x[:1], options), options.channels),
    ):
        seconds = _rounds(tasks, options)
        unit = seconds["forward"]
        print(f"\n{title:24}{'seconds':>10}{'forwards':>10}{'range':>16}")
        for name, times in seconds.items():
            per = each if name.startswith("CRP") else 1
            ratios = sorted(t / u / per for t, u in zip(times, unit, strict=True))
            spread = f"{ratios[0]:.2f} - {ratios[-1]:.2f}"
            median = statistics.median(times) / per
            print(f"{name:24}{median:10.3f}{statistics.median(ratios):10.2f}{spread:>16}")
    if options.memory:
        print(f"\n{'peak memory':24}{'MiB':>10}")
        for name in _batch_tasks(model, x[:0], layers, options):
            print(f"{name:24}{_peak(name, options):10.0f}", flush=True)


def _batch_tasks(
    model: nn.Module, x: Tensor, layers: list[str], options: argparse.Namespace
) -> dict[str, Task]:
    """Return what is timed on the whole batch; an engine enters the model at its first pass."""
    composite = find_composite(options.composite)

    def forward() -> Tensor:
        with torch.no_grad(), exact():
            y: Tensor = model(x)
        return y

    def backward() -> object:
        leaf = x.clone().requires_grad_()
        with exact():
            return torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)

    def dataflow(*layers: str) -> object:
        return engine.attribute(x, None, layers)

    def zennit() -> object:
        with ZennitEngine(model, composite) as oracle, exact():
            began = _clock()
            oracle.attribute(x, None, [])
            return _clock() - began

    engine = DataflowEngine(model, composite)
    tasks: dict[str, Task] = {
        "forward": forward,
        "forward and backward": backward,
        "LRP": _within(engine, dataflow),
        "LRP, 4 layers": _within(engine, lambda: dataflow(*layers)),
    }
    if not options.no_zennit:
        tasks["LRP by zennit"] = zennit
    return tasks


def _conditional_tasks(model: nn.Module, x: Tensor, options: argparse.Namespace) -> dict[str, Task]:
    composite = find_composite(options.composite)
    target = torch.zeros(1, dtype=torch.int64, device=x.device)
    layer = options.layer or concept_layer(model, x)
    chosen = range(0, channels(model, x, layer), channels(model, x, layer) // options.channels)
    chosen = chosen[: options.channels]

    def forward() -> Tensor:
        with torch.no_grad(), exact():
            y: Tensor = model(x)
        return y

    engine = DataflowEngine(model, composite)
    tasks: dict[str, Task] = {
        "forward": forward,
        "CRP condition": _within(engine, lambda: engine.conditional(x, target, layer, chosen)),
    }
    if not options.no_zennit:

        def zennit() -> object:
            with ZennitEngine(model, composite) as oracle, exact():
                began = _clock()
                oracle.conditional(x, target, layer, chosen)
                return _clock() - began

        tasks["CRP by zennit-crp"] = zennit
    return tasks


def _within(engine: DataflowEngine, task: Task) -> Task:
    """Return a task that runs with the engine entered, which is not part of what is timed."""

    def run() -> object:
        with engine:
            task()  # fills the cache of weights, as the first batch of a run does
            began = _clock()
            task()
            return _clock() - began

    return run


def _rounds(tasks: dict[str, Task], options: argparse.Namespace) -> dict[str, list[float]]:
    """Time every task once a round; a task may return its own time."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for round_ in range(options.rounds + 1):  # the first warms up
        for name, task in tasks.items():
            began = _clock()
            own = task()
            taken = own if isinstance(own, float) else _clock() - began
            if round_:
                seconds[name].append(taken)
    return seconds


def _clock() -> float:
    """Return seconds: of the wall, or with --cpu-time of this process's own work.

    What was asked of a GPU before is done by then.
    """
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.process_time() if _CPU_TIME else time.perf_counter()


def _peak(name: str, options: argparse.Namespace) -> float:
    """Return the peak memory of one task in a process of its own, in MiB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_peak, (name, options))


def _measure_peak(name: str, options: argparse.Namespace) -> float:
    if options.threads:
        torch.set_num_threads(options.threads)
    model, x = _model_and_images(options)
    with torch.no_grad():
        model(x[:1])
    names = [n for n, _ in model.named_children() if n.startswith(("layer", "features"))]
    task = _batch_tasks(model, x, names[:4], options)[name]
    if options.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        task()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    resident = _resident("VmRSS")
    task()
    return _resident("VmHWM") - resident


def _resident(field: str) -> float:
    """Return the resident memory of this process, or its peak, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith(field))


def _model_and_images(options: argparse.Namespace) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    library, _, name = options.model.rpartition(":")
    make = timm.create_model if library == "timm" else torchvision.models.get_model
    model: nn.Module = make(name, num_classes=10)
    randomise_norms(model)
    model = model.eval().requires_grad_(False).to(options.device)
    x = torch.randn(options.batch, 3, options.size, options.size, device=options.device)
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    return model, x


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.relevance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Callable[..., object] = parser.add_argument
    add("--model", default="resnet50", help="of torchvision, or timm:NAME (default resnet50)")
    add("--batch", type=int, default=8)
    add("--size", type=int, default=224)
    add("--composite", choices=NAMES, default=DEFAULT_COMPOSITE)
    add("--layer", help="layer of the conditions (default: the concept layer)")
    add("--channels", type=int, default=16, help="conditions per image (default 16)")
    add("--rounds", type=int, default=5)
    add("--threads", type=int, help="torch threads (default: torch's own)")
    add("--device", default="cpu")
    add("--channels-last", action="store_true", help="model and images in channels_last")
    add("--cpu-time", action="store_true", help="CPU seconds, for a machine shared with others")
    add("--memory", action="store_true", help="measure peak memory too")
    add("--no-zennit", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
