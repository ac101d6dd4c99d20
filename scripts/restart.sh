#!/bin/sh
# Stops the panel and the supervisor, then starts them.
set -eu
folder=$(dirname -- "$0")
"$folder/stop.sh" "$@"
exec "$folder/start.sh" "$@"
