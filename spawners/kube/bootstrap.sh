#!/bin/sh
# The workspace's first process.
echo "kworkspace: this bootstrap does nothing yet" >&2
exit 1
