"""What memory, storage, clocks and heat mean for edgecam: the part of the doctor that changes by the hour."""

from typing import Final

from edgecam.doctor_finding import Finding
from edgecam.inventory import Inventory
from edgecam.telemetry.clocks import Speed, all_pinned
from edgecam.telemetry.memory import Memory

BUILDER_MB: Final = 6000.0  # memory and swap, for TensorRT's builder beside a system and its desktop
LEFT_MB: Final = 500.0  # below which whatever comes next swaps, or is killed
SWAPPED_MB: Final = 200.0
ROOM_GB: Final = 3.0  # bundles, plans, recordings
HOT_C: Final = 85.0  # a Jetson holds itself back from about 95 on
_SWAP_FILE: Final = (
    "    sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && "
    "sudo swapon /swapfile"
)
_SLOW: Final = ("SD card", "hard disk", "eMMC or SD card")


def memory(machine: Inventory) -> Finding:
    told = machine.state.memory
    if told.total is None:
        return Finding("Memory", "ok", "the kernel does not tell")
    found = _memory_in_words(told)
    if told.available is not None and told.available < LEFT_MB:
        return Finding("Memory", "note", f"{found}; that is nearly nothing", _less_use(machine))
    if told.total + told.swap_on_disk < BUILDER_MB:
        zram = any(swap.compressed for swap in told.swaps)
        instead = (
            "\nzram makes no room for it, and takes some of the same memory. Better without:\n"
            "    sudo systemctl disable nvzramconfig    # then restart"
        )
        return Finding(
            "Memory",
            "note",
            f"{found}; TensorRT's builder may be killed",
            f"Give it a file to swap to, on an NVMe disk where there is one:\n{_SWAP_FILE}"
            f"{instead if zram and machine.board else ''}",
        )
    if sum(swap.used for swap in told.swaps) > SWAPPED_MB:
        return Finding("Memory", "note", f"{found}; what is swapped answers late", _less_use(machine))
    return Finding("Memory", "ok", found)


def storage(machine: Inventory) -> Finding:
    disk = machine.state.disk
    if disk is None:
        return Finding("Storage", "ok", "it cannot be told what the working directory lies on")
    found = f"{disk.kind}, {disk.free_gb:.1f} of {disk.total_gb:.0f} GB free"
    if disk.read_only:
        return Finding(
            "Storage",
            "note",
            f"{found}, and it can only be read: nothing is written to the working directory",
            "Work in another folder, or in a container give one: -v /data:/data -w /data",
        )
    if disk.free_gb < ROOM_GB:
        return Finding(
            "Storage",
            "note",
            f"{found}; bundles, plans and recordings want {ROOM_GB:.0f} or more",
            "See what takes the room, and clear apt's store:\n"
            "    du -xh --max-depth=2 / 2>/dev/null | sort -h | tail -20\n    sudo apt clean",
        )
    if disk.kind in _SLOW:
        return Finding(
            "Storage",
            "note",
            f"{found}; it is slow{' and recordings wear it out' if 'SD' in disk.kind else ''}",
            "Work on an NVMe or SSD disk, and record there: edgecam run ... --record /mnt/nvme/FOLDER",
        )
    if disk.kind == "eMMC" and "NVMe" in disk.others:
        return Finding(
            "Storage",
            "note",
            f"{found}; there is an NVMe disk too, which is faster, larger and does not wear out soldered in",
            "Record there, and put a swap file there: edgecam run ... --record /mnt/nvme/FOLDER",
        )
    return Finding("Storage", "ok", found)


def clocks(machine: Inventory) -> Finding:
    told = machine.state.clocks
    if not told:
        return Finding("Clocks", "ok", "this kernel shows none, as in most virtual machines")
    found = ", ".join(_clock_in_words(clock) for clock in told)
    if machine.board is not None:
        if all_pinned(told):
            return Finding("Clocks", "ok", f"held: {found}")
        return Finding(
            "Clocks",
            "note",
            f"they move with the load: {found}",
            "Nothing for a camera that runs. Before a benchmark hold them at this mode's highest:\n"
            "    sudo jetson_clocks    # undone by: sudo jetson_clocks --restore",
        )
    capped = [clock for clock in told if clock.capped]
    if capped:
        most = max(clock.hardware or 0 for clock in capped)
        return Finding(
            "Clocks",
            "note",
            f"{found}; held below the {most:.0f} MHz that the hardware can",
            f"Perhaps to save power. To lift it: sudo cpupower frequency-set --max {most:.0f}MHz",
        )
    return Finding("Clocks", "ok", found)


def heat(machine: Inventory) -> Finding:
    state = machine.state
    hottest = max(state.celsius.items(), key=lambda zone: zone[1], default=None)
    found = "no temperature is told" if hottest is None else f"{hottest[1]:.0f} C at most, in {hottest[0]}"
    if state.slowed_so_often:
        found += f"; slowed itself down {state.slowed_so_often} times since it started"
    if state.slowed_by:
        return Finding(
            "Heat",
            "note",
            f"{found}; held back now by {', '.join(state.slowed_by)}",
            _cooler(machine),
        )
    if hottest is not None and hottest[1] >= HOT_C:
        return Finding("Heat", "note", f"{found}; it will slow itself down soon", _cooler(machine))
    if state.slowed_so_often:
        return Finding("Heat", "note", found, _cooler(machine))
    return Finding("Heat", "ok", found)


def _memory_in_words(told: Memory) -> str:
    left = "" if told.available is None else f", {told.available / 1000:.1f} left"
    swaps = [f"{swap.name} {swap.size / 1000:.1f} GB ({swap.used / 1000:.1f} used)" for swap in told.swaps]
    return f"{(told.total or 0) / 1000:.1f} GB{left}; swap: {', '.join(swaps) or 'none'}"


def _less_use(machine: Inventory) -> str:
    if machine.board is None:
        return "Close other programs:\n    ps -eo rss,comm --sort=-rss | head"
    return (
        "Close other programs, the desktop among them:\n    ps -eo rss,comm --sort=-rss | head\n"
        "    sudo systemctl isolate multi-user.target"
    )


def _clock_in_words(clock: Speed) -> str:
    now = "?" if clock.now is None else f"{clock.now:.0f}"
    most = "" if clock.most is None else f" of {clock.most:.0f}"
    governor = "" if clock.governor is None else f" ({clock.governor})"
    return f"{clock.name} {now}{most} MHz{governor}"


def _cooler(machine: Inventory) -> str:
    if machine.board is None:
        return "Look at its fan and its dust; a benchmark that is taken now is INVALID."
    return (
        "Let the fan turn at its highest, and give the housing air; or take a mode of less power:\n"
        "    sudo jetson_clocks --fan\n    sudo nvpmodel -m ID\n"
        "Over-current alarms come from the power supply or from peaks above the mode's budget, not from heat."
    )
