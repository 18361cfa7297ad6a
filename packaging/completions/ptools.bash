# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of ptools(1) for bash: asks `ptools complete`, which has the same table of verbs as --help.

_ptools()
{
    local rest=$COMP_LINE word kept candidate also=''
    local -a words=()
    COMPREPLY=()

    # Bash parts words at : and =, too; ptools does not.
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        if [[ ${#words[@]} -eq 0 || $rest == [[:blank:]]* ]]; then
            words+=("$word")
        else
            words[-1]+=$word
        fi
        rest=${rest#"${rest%%[![:blank:]]*}"}
        rest=${rest#"$word"}
    done
    word=${words[-1]}
    kept=${word%"${word##*[:=]}"} # of a word with these, bash replaces what stands behind the last one
    while IFS=$'\t' read -r candidate _; do
        case $candidate in
        :files | :dirs | :commands) also=$candidate ;;
        *)
            COMPREPLY+=("${candidate#"$kept"}")
            [[ $candidate != *[:=] ]] || compopt -o nospace 2>/dev/null
            ;;
        esac
    done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
    word=${word#"$kept"}
    case $also in
    :files) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word") ;;
    :dirs) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$word") ;;
    :commands) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -c -- "$word") ;;
    esac
    [[ -z $also ]] || compopt -o filenames 2>/dev/null
}

complete -F _ptools ptools
