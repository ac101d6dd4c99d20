#!/bin/sh
# Starts the panel and the supervisor in the background and waits until they answer; brings what a fresh clone lacks. The audit tells of it.
set -eu
exec node "$(dirname -- "$0")/panel.js" start "$@"
