#!/usr/bin/env bash
# Run a command on a virtual screen, so that windows of tests disturb nobody; on
# the user's own where no virtual one can be made (macOS).
# Qt's "offscreen" platform will not do: it has no OpenGL, which napari draws with.
set -euo pipefail

if command -v xvfb-run > /dev/null; then
    unset WAYLAND_DISPLAY
    export QT_QPA_PLATFORM=xcb LIBGL_ALWAYS_SOFTWARE=1
    exec xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
fi
if [[ $(uname) == Linux && -z ${DISPLAY:-} && -z ${WAYLAND_DISPLAY:-} ]]; then
    echo "There is no screen, and xvfb-run, which makes a virtual one, is missing: install Xvfb." >&2
    exit 1
fi
exec "$@"
