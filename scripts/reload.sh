#!/bin/sh
# Fresh code for the panel, without refusing a request, and for the loops. When the new panel does not start, the old one goes on.
# The audit tells of it first; when it cannot, nothing is done.
set -eu
exec node "$(dirname -- "$0")/panel.js" reload "$@"
