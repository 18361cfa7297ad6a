# SPDX-License-Identifier: MIT
# Completion of ptools(1) for fish: asks `ptools complete`, which has the same table of verbs as --help.

function __ptools_complete
    set -l words (commandline -opc)
    set -l now (commandline -ct)
    for line in ($words[1] complete -- $words[2..-1] "$now" 2>/dev/null)
        switch $line
            case ':files' ':dirs'
                __fish_complete_path "$now"
            case ':commands'
                __fish_complete_command
            case '*'
                echo $line
        end
    end
end

complete -c ptools -f -a '(__ptools_complete)'
