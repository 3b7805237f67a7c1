"""Tab completion in bash and fish: what Hydra's completion lacks, `python -m cachelab` and flags."""

import re
from collections.abc import Mapping

from cachelab.arguments import flags

_COMMAND = re.compile(r"\s*(?:\S*python[\d.]*\s+-m\s+cachelab|\S*cachelab)(?=\s|$)")

SCRIPT = """\
_cachelab_complete() {
    local command=cachelab
    case "${COMP_WORDS[0]}" in
        *python*)
            [ "${COMP_WORDS[1]} ${COMP_WORDS[2]}" = "-m cachelab" ] || return
            command="${COMP_WORDS[0]} -m cachelab" ;;
        *) command="${COMP_WORDS[0]}" ;;
    esac
    local choices
    choices=$(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" $command --shell-completion query=bash 2>/dev/null)
    COMPREPLY=($(compgen -W "$choices" -- "${COMP_WORDS[COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _cachelab_complete cachelab python python3
"""
"""Registers the completion of `cachelab` and of `python -m cachelab`; file names elsewhere."""

UNINSTALL = """\
complete -r cachelab python python3
unset -f _cachelab_complete
"""
"""Takes SCRIPT back."""

FISH = """\
function __cachelab_complete
    set -l words (commandline -opc)
    set -l command $words[1]
    if string match -q '*python*' -- $words[1]
        test "$words[2] $words[3]" = "-m cachelab"; or return
        set command $words[1] -m cachelab
    end
    set -l line "$(commandline -cp)"
    env COMP_LINE="$line" COMP_POINT=(string length -- "$line") $command --shell-completion query=bash 2>/dev/null \\
        | string split -n ' '
end
complete -c cachelab -f -a '(__cachelab_complete)'
for python in python python3
    complete -c $python -n 'string match -q "* -m cachelab *" -- "$(commandline -cp) "' -f -a '(__cachelab_complete)'
end
"""
"""The same for fish."""

FISH_UNINSTALL = """\
complete -c cachelab -e
for python in python python3
    complete -c $python -e -a '(__cachelab_complete)'
end
functions -e __cachelab_complete
"""
"""Takes FISH back."""

SCRIPTS = {
    "install=bash": SCRIPT,
    "uninstall=bash": UNINSTALL,
    "install=fish": FISH,
    "uninstall=fish": FISH_UNINSTALL,
}
"""Argument of --shell-completion -> the script that it prints."""


def typed_line(environment: Mapping[str, str]) -> dict[str, str]:
    """COMP_LINE and COMP_POINT as if the command were `cachelab`; {} if bash did not set them."""
    line, point = environment.get("COMP_LINE"), environment.get("COMP_POINT", "")
    if line is None or not point.isdigit():
        return {}
    rest = _COMMAND.sub("", line[: int(point)], count=1)
    return {"COMP_LINE": f"cachelab{rest}", "COMP_POINT": str(len(rest) + len("cachelab"))}


def completed_flags(line: str) -> list[str]:
    """The flags that the last word of the line begins; [] if it begins no flag."""
    word = "" if line[-1:].isspace() else line.split(" ")[-1]
    if not word.startswith("-"):
        return []
    return sorted(flag for flag in flags() if flag.startswith("--") and flag.startswith(word))
