#!/bin/sh
# A bundle made by pyoci: starts the app in app/ with the packages in python_deps/. Works from any directory, also through
# a link. PYOCI_PYTHON names another interpreter than @INTERPRETER@.

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit "$2"
}

# The directory of this file, not of a link to it. A letter after each answer keeps line ends in names.
pyoci_file=$0
while [ -h "$pyoci_file" ]; do
    pyoci_link=$(readlink "$pyoci_file" && echo x) || fail "cannot read the link $pyoci_file" 126
    pyoci_link=${pyoci_link%?x}
    case $pyoci_link in
    /*) pyoci_file=$pyoci_link ;;
    *) case $pyoci_file in */*) pyoci_file=${pyoci_file%/*}/$pyoci_link ;; *) pyoci_file=$pyoci_link ;; esac ;;
    esac
done
case $pyoci_file in */*) pyoci_here=${pyoci_file%/*}/ ;; *) pyoci_here=./ ;; esac
pyoci_here=$(CDPATH='' cd -P -- "$pyoci_here" 2>/dev/null && pwd -P && echo x) || fail "cannot enter the directory of $pyoci_file" 126
pyoci_here=${pyoci_here%?x}
case $pyoci_here in *:*) fail "the path $pyoci_here has a colon, which PYTHONPATH cannot hold" 126 ;; esac

pyoci_python=$(command -v "${PYOCI_PYTHON:-@INTERPRETER@}") || fail "${PYOCI_PYTHON:-@INTERPRETER@} is not on PATH: install Python @PYTHON@" 127
@INSTALL@
pyoci_site=$pyoci_here/app/.pyoci/site
# What was there before stays between ours, as in the image.
case :${PYTHONPATH-}: in
*:"$pyoci_site":*) ;;
*) PYTHONPATH=$pyoci_site:${PYTHONPATH:+$PYTHONPATH:}$pyoci_here/python_deps ;;
esac
PATH=$pyoci_here/app/.pyoci/bin:$pyoci_here/python_deps/bin:${PATH:-/usr/local/bin:/usr/bin:/bin}
# Python checks itself and the machine when it starts, and unsets this.
_PYOCI_BUNDLE=${0##*/}
export PYTHONPATH PATH _PYOCI_BUNDLE
@START@
