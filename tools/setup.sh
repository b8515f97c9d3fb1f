#!/usr/bin/env bash
# Virtual environment in .venv, system libraries, package. Skips what is already there.
#   PYTHON=...         the Python to use instead of the first suitable one on PATH
#   TORCH_BACKEND=cpu  a PyTorch without CUDA: some gigabytes less to download
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ready=.venv/.ready

# What Qt and OpenGL need on Debian and Ubuntu, and a virtual screen.
system_packages=(
    xvfb xauth
    libegl1 libgl1 libgl1-mesa-dri libglib2.0-0 libdbus-1-3 libfontconfig1
    libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1
    libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xfixes0
)

say() { echo "napari-prts set-up: $*" >&2; }

main() {
    local python=""
    if ! is_ready; then
        python=$(choose_python)
    fi
    install_system_packages "$python"
    if [[ -n $python ]]; then
        make_environment "$python"
        install_package
        fingerprint > "$ready"
        say "done."
    fi
}

# A copied checkout keeps its .venv, which points to the first one: the path counts too.
fingerprint() { echo "$(pwd -P) $(cat pyproject.toml tools/setup.sh | cksum)"; }

is_ready() { [[ -f $ready && $(< "$ready") == "$(fingerprint)" ]] && suits .venv/bin/python; }

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; }

choose_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.13 python3.14}; do
        if suits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed (looked for ${PYTHON:-python3, python3.11 and newer on PATH}): install it."
    exit 1
}

install_system_packages() {
    command -v dpkg-query > /dev/null && command -v apt-get > /dev/null || return 0
    local missing
    missing=$(missing_packages "$1")
    [[ -n $missing ]] || return 0
    if [[ $(id -u) != 0 ]]; then
        say "system libraries are missing. Run this, then make again:"
        echo "sudo apt-get update && sudo apt-get install -y $missing" >&2
        exit 1
    fi
    say "installing system libraries: $missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}

missing_packages() {
    local wanted=("${system_packages[@]}")
    if [[ -n $1 ]] && ! "$1" -c 'import ensurepip' > /dev/null 2>&1; then
        wanted+=("$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
    fi
    # Names that a package provides count: newer releases have libglib2.0-0t64.
    local present
    # shellcheck disable=SC2016 # dpkg-query's own variables
    present=$(
        dpkg-query -W -f '${db:Status-Status} ${Package}, ${Provides}\n' \
            | sed -n 's/^installed //p' | sed 's/([^)]*)//g' | tr -s ', ' '\n' | sort -u
    )
    printf '%s\n' "${wanted[@]}" | sort -u | comm -23 - <(echo "$present") | paste -s -d ' '
}

make_environment() {
    if [[ -d .venv ]] && ! belongs_here; then
        say "replacing .venv, which does not work here."
        rm -rf .venv
    fi
    rm -f "$ready"
    if [[ ! -d .venv ]]; then
        say "making .venv with $("$1" --version)."
        "$1" -m venv .venv
    fi
}

belongs_here() {
    local home
    home=$(.venv/bin/python -c 'import sys; print(sys.prefix)' 2> /dev/null) || return 1
    suits .venv/bin/python && .venv/bin/python -m pip --version > /dev/null 2>&1 \
        && [[ $(realpath "$home") == "$(pwd -P)/.venv" ]] \
        && head -n 1 .venv/bin/pip | grep -qF "$(pwd -P)/.venv"
}

install_package() {
    say "installing napari-prts with all it needs (a few gigabytes the first time)."
    local wanted=".[all,test]"
    export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}
    if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check uv; then
        say "uv cannot be had; using pip, which takes longer."
    elif .venv/bin/python -m uv pip install --python .venv/bin/python \
        ${TORCH_BACKEND:+--torch-backend="$TORCH_BACKEND"} -e "$wanted"; then
        return
    else
        say "uv could not install; trying with pip."
    fi
    .venv/bin/python -m pip install --disable-pip-version-check -e "$wanted"
}

main
