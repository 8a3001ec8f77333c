#!/usr/bin/env bash
# Runs experiments in this clone and pushes them. Each argument is one: deploy/experiments.sh 'train.lr=1e-3 train.r=8'
# Needs the environment (`make .venv/run`), a default DVC remote, and a Git remote `origin` to push experiments to.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

[[ $# -gt 0 ]] || { echo "experiments: name the settings of at least one experiment" >&2; exit 2; }
git config user.name >/dev/null || git config user.name medtune
git config user.email >/dev/null || git config user.email medtune@localhost

dvc pull --run-cache --allow-missing # what was ever computed, so that it is not computed again
for experiment in "$@"; do
  read -ra settings <<<"$experiment"
  dvc exp run --queue "${settings[@]/#/--set-param=}"
done
# `dvc queue start` returns at once, and a cluster ends what a finished job leaves running: --run-all waits.
dvc exp run --run-all --jobs "${JOBS:-1}"
dvc exp push --run-cache origin
if dvc queue status | grep --fixed-strings Failed; then
  echo "experiments: at least one failed, the others were pushed" >&2
  exit 1
fi
