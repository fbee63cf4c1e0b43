"""Run commands in forks of one process that has everything imported, so that a case takes a second and not ten.

Each line on stdin is a request as JSON: ``words``, ``folder``, ``environment``, ``seconds``, and optionally ``disk``
(bytes that the folder ``disk`` in it holds), ``readonly`` (a folder that cannot be written to), ``file_size`` (bytes
that a file may have), ``stdout`` (``closed`` or a file) and ``interrupt`` (seconds after which it, or with ``group``
all that it has started too, gets ``signal``). Words that begin with a script run that, others ``bisenet``. ``null``
ends the process.
Each line of the answer: ``status`` (None after the time limit), ``seconds``, and the files ``stdout`` and ``stderr``
in the folder's neighbour.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import runpy
import signal
import sys
import time
import warnings

CLONE_NEWNS, MS_RDONLY, MS_BIND, MS_REMOUNT, MS_PRIVATE, MS_REC = 0x20000, 1, 4096, 32, 1 << 18, 16384
NOT_POSSIBLE = 77
"""Status of a case that this machine does not let happen, as it would need the rights to mount."""


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()):
        os._exit(NOT_POSSIBLE)


def prepare(asked: dict) -> None:
    """Bring about the fault that a request asks for; runs in the fork."""
    os.setsid()
    os.chdir(asked['folder'])
    os.environ.update(asked.get('environment') or {})
    if asked.get('disk') or asked.get('readonly'):
        if ctypes.CDLL(None).unshare(CLONE_NEWNS):
            os._exit(NOT_POSSIBLE)
        mount('none', '/', '', MS_PRIVATE | MS_REC, '')
    if asked.get('disk'):
        os.makedirs('disk', exist_ok=True)
        mount('none', 'disk', 'tmpfs', 0, f'size={asked["disk"]}')
    if asked.get('readonly'):
        os.makedirs(asked['readonly'], exist_ok=True)
        mount(asked['readonly'], asked['readonly'], '', MS_BIND, '')
        mount(asked['readonly'], asked['readonly'], '', MS_BIND | MS_REMOUNT | MS_RDONLY, '')
    if asked.get('file_size'):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked['file_size'], asked['file_size']))


def run(asked: dict) -> None:
    """Run a command in the fork, and leave with its exit status."""
    from bisenet_plugins.cli.main import run_command

    for number, name in ((1, 'stdout'), (2, 'stderr')):
        file = os.open(f'{asked["folder"]}.{name}', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        if name == 'stdout' and asked.get('stdout') == 'closed':
            read, file = os.pipe()
            os.close(read)
        elif name == 'stdout' and asked.get('stdout'):
            file = os.open(asked['stdout'], os.O_WRONLY)
        os.dup2(file, number)
    prepare(asked)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        words = [os.fsdecode(word.encode('latin-1')) for word in asked['words']]
        if words[:1] and words[0].endswith('.py'):
            sys.argv = words
            runpy.run_path(words[0], run_name='__main__')
        status = run_command(argv=words)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback
        traceback.print_exc()
        status = 99
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status or 0)


def answer(asked: dict) -> dict:
    """Fork, wait and kill what takes too long."""
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        run(asked)
    status, sent = None, False
    while time.monotonic() - begin < asked['seconds']:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
            break
        if asked.get('interrupt') is not None and not sent and time.monotonic() - begin > asked['interrupt']:
            (os.killpg if asked.get('group') else os.kill)(child, getattr(signal, asked['signal']))
            sent = True
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    return dict(status=status, seconds=time.monotonic() - begin)


def main() -> None:
    warnings.simplefilter('ignore')
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    import torch
    torch.set_num_threads(1)
    from mmseg.utils import register_all_modules

    import bisenet_plugins  # noqa: F401
    import bisenet_plugins.cli.demo
    import bisenet_plugins.cli.progress
    import bisenet_plugins.datasets.check
    import bisenet_plugins.engine.launch
    import bisenet_plugins.explain.page
    import bisenet_plugins.models.cost
    import bisenet_plugins.runtime.results
    import bisenet_plugins.weights.convert  # noqa: F401
    register_all_modules(init_default_scope=False)
    warnings.resetwarnings()
    warnings.filterwarnings('ignore', module='(?!bisenet_plugins)')
    print(json.dumps('ready'), file=answers, flush=True)
    while asked := json.loads(sys.stdin.readline() or 'null'):
        print(json.dumps(answer(asked)), file=answers, flush=True)
    os._exit(0)


if __name__ == '__main__':
    main()
