#!/bin/sh
# Make Dagster's home below TARGET, and HOME. The account that everything runs as owns HOME and the place for what ops
# print; programs and configuration it may only read.
# Usage: account.sh TARGET HOME
set -eu
target=$1
home=$2
mkdir -p "$target/dagster/storage" "$home"
cp "$target/share/queue_pipeline/dagster.yaml" "$target/share/queue_pipeline/workspace.yaml" "$target/dagster/"
chown 10001:10001 "$target/dagster/storage" "$home"
