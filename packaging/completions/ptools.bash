# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of ptools(1) for bash. Names of functions, sets, workers, arrays and tasks come from the daemon, if one
# answers.

# First column of a table of ptools, without its heading.
_ptools_names()
{
    "${COMP_WORDS[0]}" "${daemon[@]}" "$@" 2>/dev/null | awk 'NR > 1 && $1 !~ /^[(]/ { print $1 }'
}

_ptools()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local global='--dir --address --json --help --version'
    local new='--prefix --keep --for --order --replace --share --huge --populate'
    local types='int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128 bool'
    local select='--state --tag --where'
    local states='waiting queued running done failed timeout cancelled expired dead lost'
    local submit='--string --file --stdin --priority --target --worker --host --set --wait-target --any-target --delay
        --at --expire --deadline --attempts --retry-on --backoff --idempotent --key --tag --after --after-any
        --after-keep --keep --result-max --volatile --crashsafe --durable --hold --block --wait --timeout --raw
        --fail-fast --lines --notify'
    local program='--env --cwd --merge --mem --cpus --nice --array --out-dir --output-max --ok --grace --stdin'
    local how='--priority --worker --host --set --after --after-any --expire --deadline --attempts --retry-on --backoff
        --idempotent --tag'
    local pmap='--string --null --json-lines --unordered --on-error --attempts --retry-on --backoff --item-timeout
        --timeout --batch-size --init --captured --set --worker --priority --isolated
        --rehearse --rehearse-only --bar --no-bar --progress --no-private --workers --arg-file --colsep --csv --header
        --max-args --shuf --pipe --block --jobs --keep-order --tag --tagstring --dry-run --joblog --resume --resume-failed
        --results --halt --retries --env --cwd --merge --nice --mem --cpus --array --out-dir --timeout-all --eta'
    local verbs='call pmap run submit log replay ls info wait result why priority cancel kill dequeue hold release
        pause resume kick rerun forget purge events export workers sets modules shm stasks status fork help'
    local verb='' sub='' words='' place=0 behind=0 i
    local -a daemon=()
    COMPREPLY=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --dir | --address)
            daemon=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
            ((i++))
            ;;
        --file | --set | --worker | --timeout | --deadline | --workers | --mode) ((i++)) ;;
        --prefix | --owner | --for | --order | --share | --file-mode | --offset | --type | --dims) ((i++)) ;;
        --lines) [[ $verb == submit ]] || ((i++)) ;;
        -n) ((i++)) ;;
        --state | --where | --columns | --priority | --target | --host | --delay | --at | --expire) ((i++)) ;;
        --attempts | --retry-on | --backoff | --key | --after | --result-max) ((i++)) ;;
        --tag | --keep)
            # of fork, shm and pmap they take no value
            [[ $verb == fork || $verb == shm || $verb == pmap ]] || ((i++))
            ;;
        --on-error | --item-timeout | --batch-size | --init | --captured) ((i++)) ;;
        --arg-file | --colsep | --header | --max-args | --block | --jobs | --tagstring | --joblog) ((i++)) ;;
        --results | --halt | --retries | --env | --cwd | --mem) ((i++)) ;;
        --array | --out-dir | --output-max | --ok | --grace | --notify | --attempt) ((i++)) ;;
        --) [[ -n $verb ]] && behind=$((i + 1)) && break ;;
        --count | --at-once | -j | --timeout-all | --seed | --nice | --cpus | --limit | --output-limit) ((i++)) ;;
        -*) ;;
        *)
            if [[ -z $verb ]]; then
                verb=${COMP_WORDS[i]}
            elif [[ -z $sub ]]; then
                sub=${COMP_WORDS[i]}
            else
                ((place++)) # words behind it
            fi
            ;;
        esac
    done

    # Behind the command that fork and run run, all is that command's; the command itself stands behind --.
    if ((behind > 0 && COMP_CWORD == behind)) || [[ $verb == run && -z $sub && $cur != -* && $prev != --* ]]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
        return
    fi
    if ((behind > 0)) || [[ $verb:$sub == fork:?* || $verb:$sub == run:?* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi

    # Of fork and shm these take no value, so what follows is a word.
    case $verb:$prev in
    fork:--tag | shm:--keep) prev='' ;;
    *:--tag | *:--keep) return ;;
    esac

    case $prev in
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --file)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --stdin)
        [[ $verb == run ]] && mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        [[ $verb == run ]] && return
        ;;
    --cwd | --out-dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --array) words=$(_ptools_names shm) ;;
    --env | --mem | --output-max | --ok | --grace | --notify | --attempt) return ;;
    --set) words=$(_ptools_names sets) ;;
    --worker) words=$(_ptools_names workers) ;;
    --mode) words='rr ff' ;;
    --order) words='row column' ;;
    --file-mode) words='r r+ w+ a+' ;;
    --type) words=$types ;;
    --address | --timeout | --deadline | --workers) return ;;
    --state) words=$states ;;
    --target) words='any all' ;;
    --retry-on) words='died failed timeout' ;;
    --on-error) words='keep stop default=' ;;
    --init) words=$(_ptools_names modules | grep '[.]') ;;
    --item-timeout | --batch-size | --captured) return ;;
    --after) words=$(_ptools_names ls) ;;
    --columns)
        words='id parent parts state function target priority durability attempt attempts kills worker hold paused idempotent
            queued_ms due_ms started_ms ended_ms run_us args_bytes value_bytes code message maybe_executed phase
            progress progress_of output key tags after age'
        ;;
    --where | --priority | --host | --delay | --at | --expire | --attempts | --backoff | --key | --result-max) return ;;
    --limit)
        mapfile -t COMPREPLY < <(compgen -S = -W 'as core cpu data fsize memlock nofile nproc stack' -- "$cur")
        compopt -o nospace 2>/dev/null
        return
        ;;
    --count | --at-once | -j | --timeout-all | --seed | --nice | --cpus | --output-limit) return ;;
    --prefix | --owner | --for | --share | --offset | --dims | --lines | -n) return ;;
    *)
        case $verb:$sub in
        :*) words="$verbs $global" ;;
        call:) words="$(_ptools_names modules | grep '[.]') $global
            --string --file --stdin --set --worker --timeout --deadline --raw --detach --no-private --workers" ;;
        call:*)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            words="$global --string --file --stdin --set --worker --timeout --deadline --raw --detach
                --no-private --workers"
            ;;
        pmap:) words="$(_ptools_names modules | grep '[.]') $global $pmap" ;;
        pmap:*)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            words="$global $pmap"
            ;;
        submit:) words="$(_ptools_names modules | grep '[.]') $global $submit $program" ;;
        submit:*)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            words="$global $submit $program"
            ;;
        run:*) words="$global $how $program" ;;
        log:*) words="$(_ptools_names ls) last --follow --stdout --stderr --attempt $select $global" ;;
        replay:*) words="$(_ptools_names ls) last --gdb $global" ;;
        ls:*) words="$(_ptools_names ls) last $select --columns $global" ;;
        wait:*) words="$(_ptools_names ls) last --all --any --timeout $select $global" ;;
        result:*) words="$(_ptools_names ls) last --no-wait --timeout --raw $select $global" ;;
        pause:* | resume:*) words="--tag $global" ;;
        rerun:*) words="$(_ptools_names ls) last --failed $select $global" ;;
        why:* | events:* | info:* | priority:* | export:*) words="$(_ptools_names ls) last $select $global" ;;
        cancel:* | kill:* | dequeue:* | hold:* | release:* | kick:* | forget:* | purge:*)
            words="$(_ptools_names ls) last $select $global"
            ;;
        workers:) words="add rm $global" ;;
        workers:rm) words="$(_ptools_names workers) $global" ;;
        sets:) words="create change rm $global" ;;
        sets:rm | sets:change) words="$(_ptools_names sets) $(_ptools_names workers) --mode $global" ;;
        sets:create) words="$(_ptools_names workers) --mode $global" ;;
        modules:) words="$(_ptools_names modules | grep -v '[.]') $global" ;;
        shm:) words="ls info create rm get put fill sum head $global" ;;
        shm:ls) words="--prefix $global" ;;
        shm:create)
            words="$new --file --file-mode --offset $global"
            [[ $place -ne 1 ]] || words="$types $words"
            ;;
        shm:put)
            words="$new --npy --csv --raw --type --dims $global"
            [[ $place -ne 0 ]] || words="$(_ptools_names shm) $words"
            [[ $place -ne 1 ]] || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        shm:get) words="$(_ptools_names shm) --raw --prefix --owner $global" ;;
        shm:head) words="$(_ptools_names shm) --lines --prefix --owner $global" ;;
        shm:info | shm:sum) words="$(_ptools_names shm) --prefix --owner $global" ;;
        shm:rm | shm:fill) words="$(_ptools_names shm) --prefix $global" ;;
        stasks:) words="ls stop $global" ;;
        stasks:stop) words="$(_ptools_names stasks | grep -v '[.][0-9]*$') --timeout $global" ;;
        fork:)
            mapfile -t COMPREPLY < <(compgen -c -- "$cur")
            words="--count --at-once --processors --timeout --timeout-all --fail-fast --seed --nice --cpus --spread
                --limit --discard --inherit --tag --output-limit --progress --json --help --version"
            ;;
        help:) words=$verbs ;;
        *) words=$global ;;
        esac
        ;;
    esac
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _ptools ptools
