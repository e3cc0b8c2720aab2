#!/usr/bin/env bash
# Gradescope runs this once, when it builds the image in which submissions are graded.
set -euo pipefail
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install --no-cache-dir{% for name in requirements %} "{{ name }}"{% endfor %}

