#!/bin/sh
# Users kept apart: one front, a daemon for each user, started by ptools-spawn; games and mail are the users, news is an admin.
# usage: users.sh PTOOLS-SPAWN  (PTOOLS_TEST_COMMAND, _DAEMON, _WORKER and _MODULES as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=users_rig.sh
. "$(dirname "$0")/users_rig.sh"

# -- in ----------------------------------------------------------------------------------------------------------

start_front && as_user games 125 status && complained "your daemon cannot be started: ptools-spawn does not answer at $work/spawn.sock"
check "without ptools-spawn a user is told why nobody serves"
start_spawn
check "ptools-spawn serves"
as_user games 0 run -- id && said '^uid=5(games) gid=60(games) groups=60(games)$' &&
    as_user mail 0 run -- id && said '^uid=8(mail) gid=8(mail) groups=8(mail)$'
check "a command runs as whoever asked for it, with their groups and no other"
as_user games 0 run -- sh -c 'echo "$HOME $USER $LOGNAME"' && said "^/nonexistent"
check "... in the environment that it was asked for from"
as_user games 0 run -- grep -E '^(NoNewPrivs|CapEff|CapPrm|CapInh)' /proc/self/status && said 'NoNewPrivs:.1' &&
    [ "$(grep -c 0000000000000000 "$work/out")" -eq 3 ]
check "... without capabilities, and no way to get any"
as=
run 125 status && complained 'this service is for users from number 2 on; you are 0' &&
    as_user daemon 125 status && complained 'you are 1'
check "root and the front's user are not served"
as_user bin 125 status && complained 'did not stay: its number is below --min-uid'
check "nor is a user whom ptools-spawn refuses, whatever the front says"
[ "$(stat -c '%U %a' "$work/state/users/5" "$work/state/users/8" | tr '\n' ' ')" = 'games 700 mail 700 ' ]
check "each has a directory of state of their own"

# -- apart ---------------------------------------------------------------------------------------------------------

as_user games 0 submit --durable --key k --tag secret -- sh -c 'echo mine; echo loss >&2' && id=$(cat "$work/out") &&
    as_user games 0 wait "$id" && as_user games 0 log "$id" && said mine
check "a task of one user"
for verb in info log why result wait cancel kill rm; do
    as_user mail 0 $verb "$id"
    foreign="$got $(sed "s/$id/ID/g" "$work/err")"
    as_user mail 0 $verb 12345678
    [ "$foreign" = "$got $(sed "s/12345678/ID/g" "$work/err")" ] && [ "$got" -ne 0 ] || echo "# $verb: $foreign"
done | tee "$work/differ" | grep -v '^# status'
! grep -q '^# [a-z]*:' "$work/differ"
check "for another user it is as one that does not exist: info, log, why, result, wait, cancel, kill, rm"
as_user mail 0 ls && ! said "$id" && as_user mail 0 ls --where 'tag == "secret"' && ! said "$id" &&
    as_user mail 0 pause && as_user games 0 run -- true && as_user mail 0 resume
check "not shown in lists, and a pause of one user holds nobody else"
as_user games 0 shm create numbers float64 10 --keep && as_user mail 0 shm ls && ! said numbers &&
    as_user mail 0 shm create numbers float64 3 --keep && as_user games 0 shm ls && said '10'
check "arrays of one name are two"
as_user mail 1 run -- cat "$(find "$work/state/users/5/output" -name '*.out' | head -n 1)" && complained 'Permission denied'
check "output of a task can be read by its user alone"
as_user games 0 run -- sh -c 'kill -9 '"$(pid_of 8)"'; echo $?' && said '^1$' && as_user mail 0 status
check "nor can one end what runs for another"

mkdir "$work/groups.d" "$work/users.d"
printf '[workers]\ncount=3\nnice=2\n[limits]\nuser_sets_max=1\n' >"$work/groups.d/backup.conf"
printf '[workers]\nnice=5\n' >"$work/users.d/backup.conf"
printf '[daemon]\njournal=no\n' >"$work/users.d/uucp.conf"
as_user backup 0 status && said '^workers  *3$' && as_user backup 0 run -- nice && is $((5 + $(nice))) && as_user backup 0 sets create a 1 &&
    as_user backup 125 sets create b 1 && as_user games 0 status && said '^workers  *2$'
check "groups.d and users.d: what is said of some users only"
as_user uucp 125 status && complained 'did not stay: it exited with status 78' && grep -q 'uucp.conf:2: \[daemon\] is not for one user' "$work/spawn.log" &&
    as_user mail 0 status
check "... and a mistake in one of them concerns that user alone"

# -- admins ----------------------------------------------------------------------------------------------------------

saved=$PTOOLS_DIR
export PTOOLS_DIR="$saved/as/5"
as_user news:tape 0 ls && said "$id" && as_user news:tape 0 submit --tag admins -- sleep 1000 && other=$(cat "$work/out") &&
    as_user news 125 ls && complained 'Permission denied' && as_user games 125 ls
check "an admin comes in as a user, nobody else does"
PTOOLS_DIR=$saved
as_user games 0 ls && said "$other.*admins" && as_user games 0 kill "$other"
check "what an admin does there is as if the user had done it"

as_user news:tape 0 --user games ls && said "$id" && as_user news:tape 0 --user 5 info "$id" && as_user news:tape 125 --user nobody-here ls &&
    complained 'there is no such user' && as_user news 125 --user games ls && complained 'Permission denied'
check "by name, too"
as_user news:tape 0 users && said '^ *5  *games  *up  *2 ' && said '^ *8  *mail ' && as_user news:tape 0 users --json && said '"user":"games","state":"up","uid":5' &&
    as_user news 125 users && complained 'only members'
check "and sees who works"

as_user games 0 submit -- sleep 1000 && id2=$(cat "$work/out")
renewed() { grep -c template-renewed "$work/spawn.log"; }
before=$(renewed)
kill -HUP $front
until [ "$(renewed)" -gt "$before" ]; do kill -0 $front || break; done
as_user games 0 info "$id2" && said running && as_user games 0 kill "$id2"
check "SIGHUP: the daemons of users are told, and what runs goes on"

# -- ends ----------------------------------------------------------------------------------------------------------

first=$(pid_of 5)
kill -KILL "$first"
until [ -z "$(pid_of 5)" ]; do :; done
until as_user games 0 info "$id"; do complained 'did not stay' || complained LOST || break; done >/dev/null
as_user games 0 info "$id" && said done && [ "$(pid_of 5)" != "$first" ] && as_user mail 0 status
check "a daemon that is killed costs its own user a moment, and nothing that was recorded"
grep -q 'user-daemon-ended uid=5 .*killed by signal 9' "$work/log"
check "... and the front tells why it ended"
as_user games 0 submit -- sleep 1000 && id2=$(cat "$work/out")
kill -KILL $spawn
wait $spawn 2>/dev/null
rm "$work/spawn.sock"
as_user games 0 kill "$id2" && start_spawn && as_user games 0 status
check "the end of ptools-spawn disturbs nobody"
as_user lp 0 submit --durable --delay 1000 -- true && held=$(cat "$work/out") && as_user lp 0 hold "$held"
pid=$(pid_of 7)
until [ -z "$(pid_of 7)" ]; do kill -0 "$pid" 2>/dev/null || break; done
as_user lp 0 info "$held" && said '^on hold  *yes'
check "a daemon with nothing to do but to keep what is recorded ends, and is back when its user comes"

# -- the end ----------------------------------------------------------------------------------------------------------

as_user games 0 submit --durable -- sh -c "sleep 0.5; echo over >>'$work/state/users/5/witness'" && id=$(cat "$work/out")
until as_user games 0 info "$id" && said running; do :; done
kill $front
wait $front
[ $? -eq 0 ] && [ "$(cat "$work/state/users/5/witness")" = over ] && [ -z "$(daemons)" ] && [ ! -e "$PTOOLS_DIR/ptoolsd.sock" ]
check "SIGTERM: what runs ends well, then all daemons have ended, with the front"
before=$(grep -c 'user-daemon-wanted uid=5' "$work/log")
start_front && [ "$(grep -c 'user-daemon-wanted uid=5' "$work/log")" -gt "$before" ] && as_user games 0 info "$id" && said done
check "the next start brings back the daemon of everybody who has something queued"
as_user games 0 submit --durable -- sh -c "echo >>'$work/state/users/5/begun'; exec sleep 1000" && id=$(cat "$work/out")
until [ -s "$work/state/users/5/begun" ]; do kill -0 $front || break; done
kill -KILL $front
wait $front 2>/dev/null
for pid in $(daemons); do # whatever it hears first, the second time it does not wait for what runs
    kill -TERM "$pid"
    kill -INT "$pid"
done
while [ "$(daemons)" ]; do :; done
start_front
tries=0
until as_user games 0 info "$id" && said '^state  *lost'; do # what ran may have had an effect: it is not begun again
    tries=$((tries + 1))
    [ $tries -lt 1000 ] || break
done
[ $tries -lt 1000 ]
check "a front that was killed: daemons that nobody keeps end, and the next front begins anew"

kill $front && wait $front && kill $spawn && wait $spawn
check "all end with 0"
front='' spawn=''
[ -z "$(daemons)" ] && [ -z "$(ls "$PTOOLS_DIR/as")" ] && rmdir "$PTOOLS_DIR/as" && [ -z "$(ls -A "$PTOOLS_DIR")" ]
check "nothing is left but the directory that a killed front had made"
echo "1..$n"
