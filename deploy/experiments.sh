#!/usr/bin/env bash
# Runs experiments in this clone and pushes them. Each argument is one: deploy/experiments.sh 'train.lr=1e-3 train.r=8'
# Needs the environment (`make .venv/run`), a default DVC remote, and a Git remote `origin` to push experiments to.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

stop() {
  echo "experiments: $1" >&2
  exit 1
}

[[ $# -gt 0 ]] || stop "name the settings of at least one experiment"
dvc remote default >/dev/null 2>&1 || stop "there is no DVC remote: add one with dvc remote add --default"
git remote get-url origin >/dev/null 2>&1 || stop "there is no Git remote: add one with git remote add origin URL"
# A shallow clone, as SkyPilot makes it, would run experiments and push none of them.
[[ "$(git rev-parse --is-shallow-repository)" == false ]] || git fetch --quiet --unshallow origin
git config user.name >/dev/null || git config user.name medtune
git config user.email >/dev/null || git config user.email medtune@localhost

dvc pull --run-cache --allow-missing # the outputs of this commit, and the list of all runs
# --pull fetches the outputs of a run that is in the list, so that it is not computed again.
for experiment in "$@"; do
  read -ra settings <<<"$experiment"
  dvc exp run --queue --pull "${settings[@]/#/--set-param=}"
done
# `dvc queue start` returns at once, and a cluster ends what a finished job leaves running: --run-all waits.
dvc exp run --run-all --jobs "${JOBS:-1}"
dvc exp push --run-cache origin

status="$(dvc queue status)"
while [[ "$status" != *"0 active, 0 idle"* ]]; do
  sleep 2 # the queue's workers stay for some seconds after their last experiment
  status="$(dvc queue status)"
done
[[ "$status" != *Failed* ]] || stop "at least one failed, the others were pushed"
