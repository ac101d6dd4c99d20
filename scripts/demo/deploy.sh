#!/bin/sh
# Stands for a script that deploys: prints its steps, takes a moment for each, and changes nothing.
set -eu

environment= revision= dry_run=no
for argument; do
  case $argument in
    --environment=*) environment=${argument#*=} ;;
    --dry-run) dry_run=yes ;;
    *) revision=$argument ;;
  esac
done

step() {
  echo "$1"
  sleep 0.3
}

step "deploying $revision to $environment"
step "fetching $revision"
step "building"
if [ "$dry_run" = yes ]; then
  echo "dry run: $environment stays as it is"
  exit 0
fi
step "switching $environment to $revision"
echo "done"
