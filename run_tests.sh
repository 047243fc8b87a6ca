#!/usr/bin/env bash
# Everything that the tests need, then the tests, the checks of format, lint, types and imports among them. Arguments go to pytest: ./run_tests.sh -k desk
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cd "$root"
unset PYTHONDONTWRITEBYTECODE PYTHONHOME
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

./start_platform.sh --prepare --dev
.venv/bin/python -m components compile

# The pages are tested in a real browser.
if ! command -v chromium >/dev/null; then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        printf 'Installing chromium for the tests of the dashboard …\n'
        log=$(mktemp)
        if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >"$log" 2>&1; then
            tail -n 15 "$log" >&2
            printf 'run_tests: chromium could not be installed; the browser tests need it\n' >&2
        fi
        rm -f "$log"
    else
        printf 'run_tests: the tests of the dashboard need chromium; install it with: sudo apt-get install chromium\n' >&2
    fi
fi

exec .venv/bin/python -m pytest "$@"
