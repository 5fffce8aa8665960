#!/bin/sh
# Install the project from SOURCE into the environment TARGET, without asking an index: everything it needs is there.
# Usage: project.sh TARGET SOURCE
set -eu
target=$1
source=$2
"$target/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --root-user-action=ignore \
    --no-deps --no-build-isolation "$source"
# Compiled once here; the account that runs it may not write.
"$target/bin/python" -m compileall -q -j 0 "$target/lib" || true
"$target/bin/queue-pipeline" --help > /dev/null
