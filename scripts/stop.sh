#!/bin/sh
# Ends the panel and the loop of this folder and waits until they have ended.
set -eu
exec node "$(dirname -- "$0")/panel.js" stop "$@"
