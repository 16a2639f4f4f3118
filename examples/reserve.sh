#!/bin/sh
# Runs a job whose cost is known only afterwards: reserves the most that it may cost, and commits what it did cost.
#
#   examples/reserve.sh SUBJECT METER MOST COMMAND...
#
# The command prints what it used. It isn't run when MOST does not fit (exit code 4); when it fails, all is given back.
set -eu
subject=$1 meter=$2 most=$3
shift 3
reservation=$(metergate quota reserve "$meter=$most" --subject "$subject" --ttl 10m)
trap 'metergate quota release "$reservation" >&2' EXIT
trap 'exit 130' INT TERM
used=$("$@")
trap - EXIT
metergate quota commit "$reservation" "$meter=$used"
