#!/usr/bin/env bash
# Prepare a Jetson for edgecam: look at everything first, then make one virtual environment.
#
#     jetson/setup.sh            look, make .venv if it is missing, install edgecam into it
#     jetson/setup.sh --check    look only; nothing is changed
#
# It may be run again at any time. It never installs, removes or replaces OpenCV, TensorRT or ONNX Runtime,
# and never calls sudo: what root has to do is printed, to be read and typed.
# EDGECAM_VENV names another place than .venv; EDGECAM_ROOT another root to read the system's files from.
set -euo pipefail

root=${EDGECAM_ROOT:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${EDGECAM_VENV:-$here/.venv}
problems=0

say() { # status, subject, words
    printf '%-9s%-14s%s\n' "$1" "$2" "$3"
}
todo() { # what to type
    printf '%-23s%s\n' '' "$1"
}
problem() { # subject, words, what to type
    say problem "$1" "$2"
    todo "$3"
    problems=$((problems + 1))
}
note() { # subject, words, what to type
    say note "$1" "$2"
    todo "$3"
}

release() { # the L4T release, 36.4.3; empty where there is none
    local found
    found=$(sed -nE 's/^# R([0-9]+) \(release\), REVISION: ([0-9.]+).*/\1.\2/p' "$root/etc/nv_tegra_release" 2>/dev/null || true)
    if [ -z "$found" ]; then
        found=$(dpkg-query --showformat='${Version}' --show nvidia-l4t-core 2>/dev/null | cut -d- -f1 || true)
    fi
    printf '%s' "$found"
}

check_jetpack() {
    local l4t
    l4t=$(release)
    case $l4t in
        '') problem JetPack 'this is no Jetson, or its release cannot be read' 'On other machines: pip install .' ;;
        3[0-5].*)
            problem JetPack "L4T $l4t is JetPack 5 or older: its Python is 3.8, and edgecam needs 3.10" \
                "Flash JetPack 6.1 or later with NVIDIA's SDK Manager."
            ;;
        36.[23] | 36.[23].*)
            note JetPack "L4T $l4t is JetPack 6.0: TensorRT 8.6 is too old, so engines run on ONNX Runtime" \
                'sudo apt update && sudo apt dist-upgrade    # to JetPack 6.1 or later, see NVIDIA'"'"'s notes'
            ;;
        36.*) say ok JetPack "6 (L4T $l4t)" ;;
        38.* | 39.*) say ok JetPack "7 (L4T $l4t)" ;;
        *) note JetPack "L4T $l4t is newer than this script" 'Go on if the rest is fine.' ;;
    esac
}

check_python() {
    local version
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
    case $version in
        3.1[0-9]) say ok Python "$version" ;;
        *) problem Python "${version:-there is none}; edgecam needs 3.10 or later" 'Use the one of JetPack 6 or later.' ;;
    esac
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        problem venv 'Python cannot make virtual environments' 'sudo apt install python3-venv'
    fi
}

check_tensorrt() {
    local version
    # By its package: importing it needs the GPU.
    version=$(dpkg-query --showformat='${Version}' --show python3-libnvinfer 2>/dev/null | cut -d- -f1 || true)
    case $version in
        '') note TensorRT 'its Python package is not installed' 'sudo apt install tensorrt python3-libnvinfer' ;;
        [0-9].*) note TensorRT "$version is too old for edgecam, which then uses ONNX Runtime" 'Update to JetPack 6.1 or later.' ;;
        *) say ok TensorRT "$version" ;;
    esac
}

check_opencv() {
    local build
    build=$(python3 -c 'import cv2; print(cv2.__version__); print(cv2.getBuildInformation())' 2>/dev/null || true)
    if [ -z "$build" ]; then
        problem OpenCV 'the system has none for Python' 'sudo apt install python3-opencv'
    elif grep -qE 'GStreamer: *YES' <<<"$build"; then
        say ok OpenCV "$(head -n1 <<<"$build") with GStreamer"
    else
        note OpenCV "$(head -n1 <<<"$build") without GStreamer: no CSI camera and no hardware decoder" \
            'pip uninstall opencv-python opencv-python-headless; sudo apt install python3-opencv'
    fi
}

check_groups() {
    local missing=() group
    # video: cameras. render: the GPU, from JetPack 6 on.
    for group in video render; do
        if getent group "$group" >/dev/null && ! id -nG | tr ' ' '\n' | grep -qx "$group"; then
            missing+=("$group")
        fi
    done
    if [ "$(id -u)" = 0 ] || [ ${#missing[@]} = 0 ]; then
        say ok Groups "$(id -nG)"
    else
        note Groups "you are not in: ${missing[*]}" "sudo usermod -aG $(IFS=,; echo "${missing[*]}") $USER    # then log in again"
    fi
}

check_memory() {
    local total
    # zram is memory itself, compressed: it makes no room for a builder.
    total=$(awk '
        FNR == 1 { file++ }
        file == 1 && /^(MemTotal|SwapTotal):/ { sum += $2 }
        file == 2 && $1 ~ /zram/ { sum -= $3 }
        END { if (sum) printf "%d", sum / 1048576 }' "$root/proc/meminfo" "$root/proc/swaps" 2>/dev/null || true)
    if [ -z "$total" ]; then
        note Memory 'it cannot be told' 'free -h'
    elif [ "$total" -lt 6 ]; then
        note Memory "$total GB with swap, zram left out; TensorRT's builder may need more" \
            'sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile'
    else
        say ok Memory "$total GB with swap"
    fi
}

check_storage() {
    local free
    free=$(df -Pk "$here" | awk 'NR == 2 {printf "%d", $4 / 1048576}')
    if [ "$free" -lt 3 ]; then
        note Storage "$free GB are free; bundles, plans and recordings want 3 or more" 'sudo apt clean; df -h'
    else
        say ok Storage "$free GB free"
    fi
}

check_venv() {
    if [ ! -e "$venv" ]; then
        return
    fi
    if ! grep -qx 'include-system-site-packages = true' "$venv/pyvenv.cfg" 2>/dev/null; then
        problem venv "$venv does not see JetPack's packages" "rm -r $venv    # then run this again"
    elif compgen -G "$venv/lib/python3*/site-packages/cv2" >/dev/null; then
        problem venv "$venv holds an OpenCV from pip, which hides JetPack's" \
            "$venv/bin/pip uninstall opencv-python opencv-python-headless opencv-contrib-python"
    else
        say ok venv "$venv sees JetPack's packages"
    fi
}

bindings() { # what cuda-python this CUDA wants
    case $(release) in
        36.*) echo 'cuda-python<13' ;;
        *) echo cuda-python ;;
    esac
}

install() {
    local wanted plan
    wanted=$(bindings)
    if [ ! -e "$venv" ]; then
        python3 -m venv --system-site-packages "$venv"
        say made venv "$venv"
    fi
    # Ask first what pip would do: nothing may come in front of what JetPack brings.
    plan=$("$venv/bin/pip" install --dry-run --quiet --report - "$here" "$wanted")
    if grep -qiE '"name": *"(opencv[a-z-]*|tensorrt[a-z0-9_-]*|onnxruntime[a-z-]*)"' <<<"$plan"; then
        problem pip "it would put OpenCV, TensorRT or ONNX Runtime in front of JetPack's; nothing was installed" \
            "$venv/bin/pip install --dry-run $here '$wanted'"
        return
    fi
    "$venv/bin/pip" install --quiet "$here" "$wanted"
    say ok edgecam "in $venv"
}

check_jetpack
check_python
check_tensorrt
check_opencv
check_groups
check_memory
check_storage
check_venv

if [ "${1:-}" = --check ]; then
    [ "$problems" = 0 ] && exit 0 || exit 1
elif [ -n "${1:-}" ]; then
    echo "usage: $0 [--check]" >&2
    exit 2
fi
if [ "$problems" != 0 ]; then
    echo "Nothing was changed: solve what is marked as a problem, then run this again." >&2
    exit 1
fi
install
[ "$problems" = 0 ] || exit 1
echo "Next: $venv/bin/edgecam doctor"
