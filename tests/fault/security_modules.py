#!/usr/bin/python3
"""Foreign code: S6, ways in which somebody else could have a daemon of games load what is theirs. Each of them is tried with
a module that leaves a mark as soon as it is loaded, before anybody looks into it. (mail is who tries; that such a module is
loaded where it may be, and is seen then, comes first.)
usage: security_modules.py C-COMPILER...  (PTOOLS_TEST_DAEMON, _WORKER, _MODULES and PTOOLS_DAEMON as Meson sets them)"""
import ctypes
import os
import shutil
import subprocess
import sys
import time

from security_rig import GAMES, MAIL, Daemon, Peer, Refused, check, descendants, figure, finish, user, work

compiler = sys.argv[1:]
RACE_S = float(os.environ.get('FAULT_RACE_S', '3'))
RACE_NAMES = 100  # of modules that one daemon is asked for
BAD_REQUEST, LIMIT, NO_MODULE, MODULE_BROKEN, NO_FUNCTION, EXITED = 40, 41, 44, 45, 46, 73
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sanitized = 'memory_max=0' in open(os.environ['PTOOLS_DAEMON']).read()
marks = work + '/marks'
open(marks, 'w').close()
os.chmod(marks, 0o666)

SOURCE = r'''
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <ptools/module.h>
#ifdef FOREIGN
__attribute__((constructor)) static void mark(void)
{
    char name[64] = "";
    int fd = open("/proc/self/comm", O_RDONLY), to = open(MARKS, O_WRONLY | O_APPEND);
    if (fd >= 0 && to >= 0 && read(fd, name, 63) > 0)
        dprintf(to, "%s", name);
    close(fd);
    close(to);
}
#endif
extern int helper(void);
static ptools_err run(ptools_task *t)
{
#ifdef HELPER
    if (helper())
        return PTOOLS_ERR_FAILED;
#endif
    (void)t;
    return PTOOLS_OK;
}
int helper(void) { return 0; }
static const ptools_function functions[] = { { "run", run, "run", 0 }, { NULL, NULL, NULL, 0 } };
PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI, .struct_size = sizeof(ptools_module_info), .functions = functions };
'''


def build(out, *flags):
    source = work + '/source.c'
    with open(source, 'w') as file:
        file.write(SOURCE.replace('int helper(void) { return 0; }', '') if '-DHELPER' in flags else SOURCE)
    subprocess.run([*compiler, '-shared', '-fPIC', f'-I{root}/client/include', f'-DMARKS="{marks}"', '-o', out, source, *flags],
                   check=True)
    return out


def seen():
    """What was loaded where since the last time."""
    with open(marks) as file:
        lines = file.read().split('\n')[:-1]
    os.truncate(marks, 0)
    return lines


foreign = build(work + '/foreign.so', '-DFOREIGN')
fine = build(work + '/fine.so')


def place(path, source=foreign, owner=MAIL, mode=0o644):
    shutil.copyfile(source, path)
    os.chmod(path, mode)
    os.chown(path, owner, owner if owner else 0)
    return path


def folder(name, owner=GAMES, mode=0o755):
    path = f'{work}/{name}'
    os.mkdir(path)
    os.chown(path, owner, owner)
    os.chmod(path, mode)
    return path


mine, theirs = folder('games'), folder('mail', MAIL)
parts = [mine]  # of the path of modules


def entry(path):
    parts.append(path)
    return path


cases = []  # (what, function that is asked for, codes that are right)


def case(what, function, *codes):
    cases.append((what, function, codes or (NO_MODULE, MODULE_BROKEN)))


place(theirs + '/own.so')
# -- in a directory of the daemon's user, but not theirs
os.symlink(theirs + '/own.so', mine + '/link.so')
case('a symbolic link to another\'s file', 'link.run')
place(mine + '/theirs.so')
case("another's file", 'theirs.run')
os.link(theirs + '/own.so', mine + '/hard.so')
case("a hard link to another's file", 'hard.run')
place(mine + '/group.so', owner=GAMES, mode=0o664)
case('a file that its group may write', 'group.run')
place(mine + '/world.so', owner=GAMES, mode=0o646)
case('a file that others may write', 'world.run')
os.mkfifo(mine + '/fifo.so')
case('a fifo, which nobody writes', 'fifo.run')
os.mkdir(mine + '/dir.so')
case('a directory', 'dir.run')
os.mknod(mine + '/device.so', 0o020644, os.makedev(1, 5))
case('a device', 'device.run')
place(mine + '/data.so', '/etc/passwd', GAMES)
case('a file that is no shared object', 'data.run')
if shutil.which('setfacl'):
    place(mine + '/acl.so', owner=GAMES)
    subprocess.run(['setfacl', '-m', f'u:{MAIL}:rw', mine + '/acl.so'], check=True)
    case('a file that an access list lets another write', 'acl.run')
# -- in directories that are not to be trusted
for name, owner, mode, why in (('groupdir', GAMES, 0o775, 'that its group may write'), ('worlddir', GAMES, 0o777, 'that others may write'),
                               ('sticky', GAMES, 0o1777, 'that others may write, with the sticky bit'),
                               ('theirdir', MAIL, 0o755, 'of another user')):
    place(entry(folder(name, owner, mode)) + f'/{name}.so', owner=GAMES)
    case(f'in a directory {why}', name + '.run')
folder('above', MAIL)
os.mkdir(entry(work + '/above/below'))
os.chown(work + '/above/below', GAMES, GAMES)
place(work + '/above/below/below.so', owner=GAMES)
case("in one's own directory, in another's", 'below.run')
os.symlink(theirs, entry(mine + '/linked'))
case("in another's directory, by a link of one's own", 'own.run')
parts.append(mine + '/../mail')
case('in a directory by ..', 'own.run')
# -- names
for name in ('../mail/own.run', f'{theirs}/own.run', 'games/../../mail/own.run', 'own.so.run', 'libc.system', 'system', 'exit', '', '.',
             '.run', 'fine.', 'fine.ptools_module', 'fine.helper', 'fine.run\0', 'fine\0.run', 'fine.run.run', '%n%s%n.%s',
             'fine.' + 'r' * 65, 'f\u0131ne.run', '-z.run', 'x' * (1 << 20) + '.run'):
    case(f'the name {name[:40]!r}', name, BAD_REQUEST, LIMIT, NO_MODULE, NO_FUNCTION)

# -- what they ask a daemon to find by itself
tmp = folder('games/tmp', MAIL)
build(tmp + '/libhelper.so', '-DFOREIGN')
folder('games/mods')
entry(work + '/games/mods')
build(mine + '/mods/origin.so', '-DHELPER', f'-L{tmp}', '-lhelper', '-Wl,-rpath,$ORIGIN/../tmp')
case('a library that a module wants from $ORIGIN/../tmp', 'origin.run')
build(mine + '/mods/nowhere.so', '-DHELPER', f'-L{tmp}', '-lhelper', '-Wl,-rpath,tmp:.')
case('a library that a module wants from a relative directory', 'nowhere.run')
build(mine + '/mods/searched.so', '-DHELPER', f'-L{tmp}', '-lhelper')
case('a library that is in LD_LIBRARY_PATH alone', 'searched.run')
place(mine + '/fine.so', fine, GAMES)
place(mine + '/mods/control.so', owner=GAMES)

environment = {'PATH': '/usr/bin:/bin', 'LD_LIBRARY_PATH': tmp, 'GCONV_PATH': theirs, 'MALLOC_PERTURB_': '1', 'PTOOLS_MODULE_PATH': theirs,
               'LD_AUDIT': '', 'GLIBC_TUNABLES': 'glibc.malloc.check=0', 'PYTHONPATH': theirs}
daemon = Daemon(GAMES, module_path=':'.join(parts), env=environment)


def ask(function, kind='call'):
    """The code of the answer; 0: it was done."""
    peer = Peer(daemon.path, GAMES)
    try:
        return peer.ask(kind, [], function=function)[1].get('code', 0)
    except (Refused, OSError):
        return -1
    finally:
        peer.close()


done = ask('control.run') == 0
marked = seen()
check('the test itself: a module that may be loaded is, and leaves its mark', done and marked, f'{marked}')
check('a module that is in order, in a daemon with such a path', ask('fine.run') == 0)
bad = []
for path in 'relative', '.', f'{mine}:..':
    started = subprocess.run([os.environ['PTOOLS_DAEMON'], '--check-config', '--module-path', path], capture_output=True, timeout=60)
    cases.append((f'a path of modules with {path}', None, ()))
    if started.returncode == 0:
        bad.append(f'the path of modules {path} is accepted')
for what, function, codes in cases:
    if function is None:
        continue
    for kind in 'call', 'task-submit':
        code = ask(function, kind)
        if code not in codes:
            bad.append(f'{what}, by {kind}: {code} instead of {codes}')
marked = seen()
figure(f'S6, {len(cases)} attacks, each by call and by queue', '0 foreign code loaded', f'{len(marked)} loaded, {len(bad)} answers that are not right',
       not marked and not bad, not marked and not bad, *marked, *bad)


# -- what the environment asks for ---------------------------------------------------------------------------------------


def variables(pid):
    with open(f'/proc/{pid}/environ', 'rb') as file:
        return {v.split(b'=')[0].decode() for v in file.read().split(b'\0') if v}


steering = {name for pid in descendants(daemon.pid) for name in variables(pid) if name.startswith(('LD_', 'GCONV', 'MALLOC', 'GLIBC', 'PYTHON'))}
figure('S6, LD_LIBRARY_PATH, LD_AUDIT, GCONV_PATH, MALLOC_PERTURB_, GLIBC_TUNABLES, PYTHONPATH of the daemon', 'in no process of it',
       sorted(steering) or 'in none', not steering, not steering)
argv = [b'/bin/sh', b'-c', b'cat /proc/$PPID/maps /proc/$PPID/environ']
body = {'argv': argv, 'env': [b'LD_PRELOAD=' + foreign.encode(), b'PATH=/usr/bin:/bin']}
kind, answer, value = Peer(daemon.path, GAMES).ask('call', [body], function='command.run')
marked = seen()
elsewhere = [name for name in marked if name not in ('sh', 'cat')]
figure("S6, LD_PRELOAD in the environment of a command", 'in the command that its user wants it for, and in no worker',
       f'{len(marked)} in the command, {len(elsewhere)} elsewhere', kind == 'reply' and marked and not elsewhere,
       kind == 'reply' and not elsewhere, f'{answer}')
daemon.end()
if not sanitized:
    daemon = Daemon(GAMES, module_path=mine, env={'PATH': '/usr/bin:/bin', 'LD_PRELOAD': foreign})
    ask('fine.run')
    marked = seen()
    elsewhere = [name for name in marked if name not in ('sh', 'ptoolsd', 'ptoolsd-in-buil', 'python3')]
    figure("S6, LD_PRELOAD in the environment of the daemon", 'in the daemon that was started with it, and in no process of it',
           f'{len(marked)} in the daemon, {len(elsewhere)} elsewhere', not elsewhere, not elsewhere, *elsewhere)
    daemon.end()

# -- the race --------------------------------------------------------------------------------------------------------------

# mail owns a name that the path leads through, and has it point by turns to a directory of games with modules that are in
# order, and to one with modules of the same names that are mail's.
lane, good, evil = folder('lane', MAIL), folder('good'), folder('evil', MAIL)
for i in range(RACE_NAMES):
    place(f'{good}/r{i}.so', fine, GAMES)
    place(f'{evil}/r{i}.so')
os.symlink(good, lane + '/a')
os.symlink(evil, lane + '/b')
libc = ctypes.CDLL(None, use_errno=True)
stop, stopped = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(stopped)
    os.set_blocking(stop, False)
    a, b, turns = (lane + '/a').encode(), (lane + '/b').encode(), 0
    with user(MAIL):
        while True:
            for _ in range(1000):
                if libc.renameat2(-100, a, -100, b, 2):  # RENAME_EXCHANGE
                    os._exit(2)
            turns += 1000
            try:
                if os.read(stop, 1) == b'':
                    break
            except BlockingIOError:
                pass
    with open(work + '/turns', 'w') as file:
        file.write(str(turns))
    os._exit(0)
os.close(stop)
loads, refused, begin = 0, 0, time.monotonic()
while time.monotonic() < begin + RACE_S:
    daemon = Daemon(GAMES, module_path=lane + '/a')
    for i in range(RACE_NAMES):
        code = ask(f'r{i}.run')
        loads += code == 0
        refused += code in (NO_MODULE, MODULE_BROKEN)
    daemon.end()
os.close(stopped)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
marked = seen()
turns = open(work + '/turns').read() if status == 0 else '?'
figure(f'S6, a link that is renamed for {RACE_S:.0f} s, {turns} times', '0 foreign code loaded',
       f'{len(marked)}, of {loads + refused} loads: {loads} of what is in order, {refused} refused', not marked and loads and refused,
       not marked and loads + refused > 0 and status == 0)
finish()
