#!/usr/bin/env bash
# Sequence FX in one command: environment, databases, first data, all processes. Ctrl-C stops everything.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
venv="$root/.venv"
least="3.11.5"

usage() {
    cat <<'TEXT'
Usage: ./start_platform.sh [--demo] [--prepare [--dev]] [--help]

Makes the Python environment in .venv (once), prepares the databases, loads the first data (on the first run), then starts and supervises
the API, the dashboard, the worker and the desk. A first run also starts the simulated terminal. Ctrl-C stops all of it.

  --demo      start the simulated terminal on this run too
  --prepare   only make the environment, then stop
  --dev       with --prepare: install what the checks and tests need as well
  --help      this text

Settings, from the environment or from the file .env beside this script:
  SEQUENCE_HOME             folder of all databases and results      (output_central)
  SEQUENCE_API_PORT         port of the HTTP API                     (5000)
  SEQUENCE_DASHBOARD_PORT   port of the dashboard                    (8504)
  SEQUENCE_DESK_PORT        port on which the desk hears of ticks    (5001)
  SEQUENCE_HOST             address of the API and the dashboard     (127.0.0.1)
  SEQUENCE_PYTHON           the Python that makes the environment    (the first one found that is new enough)
TEXT
}

fail() {
    printf 'start_platform: %s\n' "$1" >&2
    exit "${2:-1}"
}

demo=()
prepare=no
dev=no
for argument in "$@"; do
    case "$argument" in
        --demo) demo=(--demo) ;;
        --prepare) prepare=yes ;;
        --dev) dev=yes ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            fail "unknown argument $argument" 2
            ;;
    esac
done
if [[ $dev == yes && $prepare == no ]]; then
    fail "--dev goes with --prepare" 2
fi

# Byte code is kept, or every process would compile everything again; busy-waiting threads make small machines many times slower.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}" OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"

# What keeps a Python from being used, in a few words; nothing where it can be.
python_fault() {
    "$1" - "$least" 2>/dev/null <<'PYTHON' || echo "does not run"
import sys
least = tuple(int(part) for part in sys.argv[1].split("."))
if sys.version_info[:3] < least:
    print("is " + ".".join(map(str, sys.version_info[:3])) + ", too old")
else:
    missing = []
    for name in ("venv", "ensurepip", "ssl", "sqlite3"):
        try:
            __import__(name)
        except ImportError:
            missing.append(name)
    if missing:
        print("lacks " + ", ".join(missing) + " (Debian: apt-get install python3-venv)")
PYTHON
}

# SEQUENCE_PYTHON from .env, where the environment has none; the platform reads the other settings itself.
read_python_setting() {
    local line
    if [[ -z ${SEQUENCE_PYTHON:-} && -f $root/.env ]]; then
        while IFS= read -r line || [[ -n $line ]]; do
            if [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?SEQUENCE_PYTHON[[:space:]]*=[[:space:]]*[\"\']?([^\"\'#]*[^\"\'#[:space:]]) ]]; then
                SEQUENCE_PYTHON=${BASH_REMATCH[2]}
            fi
        done <"$root/.env"
    fi
}

find_python() {
    local candidates=(python3.11 python3.12 python3.13 python3 python) candidate path fault seen=""
    read_python_setting
    if [[ -n ${SEQUENCE_PYTHON:-} ]]; then
        candidates=("$SEQUENCE_PYTHON")
    fi
    for candidate in "${candidates[@]}"; do
        if ! path=$(command -v "$candidate" 2>/dev/null); then
            if [[ -n ${SEQUENCE_PYTHON:-} ]]; then
                seen="; SEQUENCE_PYTHON names $candidate, which is not there"
            fi
            continue
        fi
        fault=$(python_fault "$path")
        if [[ -z $fault ]]; then
            python=$path
            return
        fi
        seen+="; $path $fault"
    done
    fail "Python $least or newer is needed and none was found${seen}. Install it, or name one with SEQUENCE_PYTHON=/path/to/python3.11"
}

check_folder() {
    local probe
    probe=$(mktemp "$1/.writable.XXXXXX" 2>/dev/null) || fail "cannot write to $1: $2"
    rm -f "$probe"
}

# Install one requirement file unless that was done already with the same content.
install() {
    local file=$1 what=$2 stamp="$venv/.installed-$1" wanted log="$venv/install.log" began=$SECONDS
    wanted=$(cat "$root"/requirements.txt "$root/$file" "$root/constraints.txt" "$venv/pyvenv.cfg" | "$venv/bin/python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
        return
    fi
    printf 'Installing %s; this is done once and takes a minute or two …\n' "$what"
    if ! "$venv/bin/python" -m pip install --no-compile --disable-pip-version-check --progress-bar off -c "$root/constraints.txt" -r "$root/$file" >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        fail "the packages could not be installed; the whole log is in $log. Without a network, point pip to a folder of wheels with PIP_FIND_LINKS"
    fi
    printf '%s\n' "$wanted" >"$stamp"
    printf 'Installed in %s s.\n' "$((SECONDS - began))"
}

make_environment() {
    local fault
    if [[ -x $venv/bin/python ]]; then
        fault=$(python_fault "$venv/bin/python")
        if [[ -n $fault ]]; then
            printf 'The environment in .venv cannot be used (its Python %s); making it again.\n' "$fault"
            rm -rf "$venv"
        fi
    fi
    if [[ ! -x $venv/bin/python || ! -d $venv/bin || ! -f $venv/pyvenv.cfg ]]; then
        check_folder "$root" "the environment is made there; copy the platform to a folder of yours"
        find_python
        printf 'Making the environment in .venv with %s …\n' "$("$python" --version)"
        "$python" -m venv "$venv" || fail "$python could not make the environment in $venv"
    fi
    install requirements.txt "the packages"
    if [[ $dev == yes ]]; then
        install requirements-dev.txt "what the tests need"
    fi
    make_command
}

# `sequence` in the environment, and `import components` from anywhere in it.
make_command() {
    local packages command="$venv/bin/sequence"
    packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    if [[ ! -f $packages/sequence_fx.pth || $(<"$packages/sequence_fx.pth") != "$root" || ! -x $command ]]; then
        printf '%s\n' "$root" >"$packages/sequence_fx.pth"
        # shellcheck disable=SC2016  # these are expanded when the command runs
        printf '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -P -m components "$@"\n' >"$command"
        chmod +x "$command"
    fi
}

if [[ -n ${SEQUENCE_HOME:-} ]]; then
    [[ $SEQUENCE_HOME == /* ]] || SEQUENCE_HOME="$PWD/$SEQUENCE_HOME"
    export SEQUENCE_HOME
    mkdir -p "$SEQUENCE_HOME" 2>/dev/null || fail "cannot make the folder $SEQUENCE_HOME: choose another with SEQUENCE_HOME"
    check_folder "$SEQUENCE_HOME" "choose another folder with SEQUENCE_HOME"
fi
cd "$root"
make_environment
if [[ $prepare == yes ]]; then
    exit 0
fi
exec "$venv/bin/python" -m components up ${demo[@]+"${demo[@]}"}
