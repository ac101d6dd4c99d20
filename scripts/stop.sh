#!/bin/sh
# Ends the panel and the supervisor of this folder and waits until they have ended. The audit tells of it first; when it cannot,
# nothing is stopped, and the sentence says how to do so all the same.
set -eu
exec node "$(dirname -- "$0")/panel.js" stop "$@"
