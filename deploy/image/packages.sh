#!/bin/sh
# Make the environment TARGET and install the packages of LOCK into it, each checked against its hash.
# Usage: packages.sh TARGET LOCK
set -eu
target=$1
lock=$2
python3 -m venv "$target"
"$target/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --root-user-action=ignore \
    --no-compile --require-hashes --no-deps --only-binary :all: -r "$lock"
