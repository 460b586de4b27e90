#!/usr/bin/env bash
# Installs the programs that some tests need, from Debian's or Ubuntu's packages: Chromium, LaTeX, FFmpeg, a C++
# compiler, Slurm. As root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
wanted=()
command -v chromium chromium-browser google-chrome >/dev/null || wanted+=(chromium)
kpsewhich booktabs.sty >/dev/null 2>&1 || wanted+=(texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended)
command -v pdftotext >/dev/null || wanted+=(poppler-utils)
command -v ffmpeg >/dev/null || wanted+=(ffmpeg)
command -v c++ >/dev/null || wanted+=(g++)
command -v slurmctld >/dev/null || wanted+=(slurm-wlm slurm-wlm-basic-plugins munge)
if ((${#wanted[@]})); then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null
fi
