# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of ptools(1) for bash. Names of functions, sets and workers come from the daemon, if one answers.

# First column of a table of ptools, without its heading.
_ptools_names()
{
    "${COMP_WORDS[0]}" "${daemon[@]}" "$@" 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_ptools()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local global='--dir --address --json --help --version'
    local verb='' sub='' words='' i
    local -a daemon=()
    COMPREPLY=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --dir | --address)
            daemon=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
            ((i++))
            ;;
        --file | --set | --worker | --timeout | --deadline | --workers | --mode) ((i++)) ;;
        -*) ;;
        *) if [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; elif [[ -z $sub ]]; then sub=${COMP_WORDS[i]}; fi ;;
        esac
    done

    case $prev in
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --file)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --set) words=$(_ptools_names sets) ;;
    --worker) words=$(_ptools_names workers) ;;
    --mode) words='rr ff' ;;
    --address | --timeout | --deadline | --workers) return ;;
    *)
        case $verb:$sub in
        :*) words="call workers sets modules status help $global" ;;
        call:) words="$(_ptools_names modules | grep '[.]') $global
            --string --file --stdin --set --worker --timeout --deadline --raw --detach --no-private --workers" ;;
        call:*)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            words="$global --string --file --stdin --set --worker --timeout --deadline --raw --detach
                --no-private --workers"
            ;;
        workers:) words="add rm $global" ;;
        workers:rm) words="$(_ptools_names workers) $global" ;;
        sets:) words="create change rm $global" ;;
        sets:rm | sets:change) words="$(_ptools_names sets) $(_ptools_names workers) --mode $global" ;;
        sets:create) words="$(_ptools_names workers) --mode $global" ;;
        modules:) words="$(_ptools_names modules | grep -v '[.]') $global" ;;
        help:) words='call workers sets modules status help' ;;
        *) words=$global ;;
        esac
        ;;
    esac
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _ptools ptools
