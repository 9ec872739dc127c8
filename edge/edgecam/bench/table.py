"""A benchmark's document as a table for people, with its verdict first."""

from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from edgecam.bench.names import FIGURE
from edgecam.bench.percentiles import least_samples
from edgecam.bench.stages import LABELS
from edgecam.bench.stages import in_words as left_out
from edgecam.roofline.of_bundle import in_words
from edgecam_engines.console import out

NOISY: Final = 0.025  # coefficient of variation


def show(document: dict[str, Any]) -> None:
    """Print it."""
    out.print(_table(document))
    for line in lines(document):
        out.print(line, markup=False)
    for reason in document["invalid"]:
        out.print(f"INVALID: {reason}", markup=False)


def lines(document: dict[str, Any]) -> list[str]:
    """What the table does not say."""
    told, warm = document["statistics"], document["warm_up"]
    found = [f"{document['throughput_per_s']:.1f} frames/s, {_flow(document)}"]
    found += [
        *_mlperf(document),
        *_scenario(document),
        f"What holds it up: {document['bound']}.",
        *left_out(document["stages_left_out"]),
        _accuracy(document["accuracy"]),
    ]
    bound = told["upper99"]["p99"]
    if bound is None:
        least = least_samples(99)
        found.append(f"These are too few runs to bound the p99; {least} or more are needed (--runs 700).")
    else:
        found.append(f"With 99 % confidence the true p99 is below {bound:.2f} ms.")
    variation = told["coefficient_of_variation"]
    unsteady = f" (unsteady: trtexec warns above {NOISY * 100:.1f} %)" if variation > NOISY else ""
    found.append(
        f"Coefficient of variation {variation * 100:.1f} %{unsteady}; p50 "
        f"{told['ci95']['p50'][0]:.2f} to {told['ci95']['p50'][1]:.2f} ms (95 %, bootstrap)"
    )
    if warm["calls"]:
        found.append(
            f"Warm-up, not counted: {warm['calls']} calls, the first {warm['first_ms']:.2f} ms, "
            f"p50 {warm['p50_ms']:.2f} ms"
        )
    roofline = in_words(document["roofline"]) if "roofline" in document else []
    return [*found, *_energy(document), *roofline, _where(document["provenance"])]


def _mlperf(document: dict[str, Any]) -> list[str]:
    """What MLPerf would rank by, with its own bound."""
    percent = FIGURE.get(document["scenario"])
    if percent is None:
        return []
    bound = document["statistics"]["upper99"][f"p{percent}"]
    below = "too few runs to bound it" if bound is None else f"below {bound:.2f} ms with 99 % confidence"
    ms = document["latency_ms"][f"p{percent}"]
    return [f"The figure of MLPerf's {document['mlperf']} is the p{percent}: {ms:.2f} ms, {below}"]


def _table(document: dict[str, Any]) -> Table:
    frames = document["frames_per_query"]
    each = "one at a time" if frames == 1 else f"{frames} at a time"
    mlperf = f" (MLPerf {document['mlperf']})" if document["mlperf"] else ""
    table = Table(
        title=f"{escape(document['engine'])}, {document['scenario']}{mlperf}: {document['runs']} queries "
        f"of {escape(document['provenance']['frame'])}, {each}",
        title_justify="left",
    )
    for column in ("ms", "p50", "p90", "p95", "p99"):
        table.add_column(column, justify="left" if column == "ms" else "right")
    for name, percentiles in document["stages"].items():
        table.add_row(LABELS.get(name, name), *(f"{ms:.2f}" for ms in percentiles.values()))
    table.add_section()
    whole = "one frame" if frames == 1 else f"{frames} frames"
    table.add_row(whole, *(f"{ms:.2f}" for ms in document["latency_ms"].values()))
    table.add_row("processor time", *(f"{ms:.2f}" for ms in document["cpu_ms"].values()))
    return table


def _flow(document: dict[str, Any]) -> str:
    if document["scenario"] == "server":
        return "arriving at random, the wait included in every latency"
    if document["scenario"] == "camera":
        return "the newest frame each time, its age at the answer is the latency"
    return "the stages one after another"


def _scenario(document: dict[str, Any]) -> list[str]:
    if (camera := document.get("camera")) is not None:
        return [f"A camera of {camera['fps']:g} frames/s: {camera['dropped']} of {camera['frames']} dropped"]
    if (server := document.get("server")) is not None:
        rate = server["rate_per_s"]
        held = "No rate holds" if rate is None else f"{rate:.1f} frames/s is the highest rate that holds"
        return [
            f"{held} a p99 of {server['p99_bound_ms']:.1f} ms "
            f"(99 % confidence, {len(server['tries'])} rates tried)"
        ]
    if (soak := document.get("soak")) is not None:
        tenths = soak["p50_ms_by_tenth"]
        change = (tenths[-1] / tenths[0] - 1) * 100
        return [
            f"p50 from the first tenth of the time to the last: {tenths[0]:.2f} to {tenths[-1]:.2f} ms "
            f"({change:+.1f} %)"
        ]
    return []


def _energy(document: dict[str, Any]) -> list[str]:
    if (told := document.get("energy")) is None:
        return []
    return [
        f"{told['j_per_inference'] * 1e3:.2f} mJ an inference ({told['mean_w']:.2f} W), "
        f"{told['j_per_inference_above_idle'] * 1e3:.2f} mJ above idle ({told['idle_w']:.2f} W)",
        f"Energy by {told['meter']}, {told['samples_per_s']:.0f} samples/s: {told['scope']}",
    ]


def _accuracy(told: dict[str, Any]) -> str:
    answers, frames = told["answers"], told["frames"]
    if told["other_label"]:
        return f"{told['other_label']} of {answers} answers about {frames} pictures differed from before."
    return f"All {answers} answers about {frames} pictures had the same label as in peace."


def _where(machine: dict[str, Any]) -> str:
    where = [machine["board"] or machine["cpu"] or machine["machine"], f"{machine['cores']} cores"]
    where += [f"power mode {machine['power_mode']}"] if machine["power_mode"] else []
    return ", ".join([*where, f"threads {machine['threads']}"])
