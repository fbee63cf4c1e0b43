"""A headless Chromium driven over a pipe by the DevTools protocol, and a server for the built site: no package."""

import base64
import contextlib
import functools
import http.server
import itertools
import json
import os
import select
import shutil
import subprocess
import threading
import time
from pathlib import Path

COMMAND = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
         '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage',
         '--disable-features=BackForwardCache',
         '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--remote-debugging-pipe')


class Page:
    """One tab. ``errors`` collects what its console, its workers and its requests complained about.

    Args:
        profile: Empty folder for the browser's own files.
    """

    def __init__(self, profile: Path):
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        self._process = subprocess.Popen(
            ['bash', '-c', f'exec "$@" 3<&{commands} 4>&{answers}', 'bash', COMMAND, *FLAGS,
             f'--user-data-dir={profile}'],
            pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self._numbers, self._rest, self.errors, self.requests, self._loaded = itertools.count(1), b'', [], [], set()
        target = self.call('Target.createTarget', session='', url='about:blank')['targetId']
        self._session = self.call('Target.attachToTarget', session='', targetId=target, flatten=True)['sessionId']
        self.call('Target.setAutoAttach', autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')
        self.call('Page.setLifecycleEventsEnabled', enabled=True)

    def close(self):
        with contextlib.suppress(Exception):
            self.call('Browser.close', session='')
        self._process.wait(20)
        os.close(self._to)
        os.close(self._from)

    def call(self, method, session=None, limit=120, **params):
        """Send a command and return its result; events that come before it are kept."""
        number = self._send(method, self._session if session is None else session, params)
        end = time.monotonic() + limit
        while True:
            answer = self._read(end - time.monotonic(), method)
            if answer.get('id') == number:
                if 'error' in answer:
                    raise RuntimeError(f'{method}: {answer["error"]["message"]}')
                return answer['result']
            self._event(answer)

    def _send(self, method, session, params):
        number = next(self._numbers)
        message = dict(id=number, method=method, params=params, **(dict(sessionId=session) if session else {}))
        os.write(self._to, json.dumps(message).encode() + b'\0')
        return number

    def _read(self, limit, method):
        while b'\0' not in self._rest:
            if not select.select([self._from], [], [], max(0, limit))[0]:
                raise TimeoutError(method)
            data = os.read(self._from, 1 << 20)
            if not data:
                raise RuntimeError(f'{method}: Chromium ended')
            self._rest += data
        text, self._rest = self._rest.split(b'\0', 1)
        return json.loads(text)

    def _event(self, event):
        method, params = event.get('method'), event.get('params', {})
        if method == 'Target.attachedToTarget':
            for domain in ('Runtime', 'Log', 'Network'):  # a worker's too; the answers are read over
                self._send(f'{domain}.enable', params['sessionId'], {})
        elif method == 'Runtime.consoleAPICalled' and params['type'] in ('error', 'assert'):
            self.errors.append(str([argument.get('value', argument.get('description')) for argument in params['args']]))
        elif method == 'Runtime.exceptionThrown':
            details = params['exceptionDetails']
            self.errors.append(details.get('exception', {}).get('description') or details['text'])
        elif method == 'Log.entryAdded' and params['entry']['level'] == 'error':
            self.errors.append(f'{params["entry"]["text"]} {params["entry"].get("url", "")}')
        elif method == 'Network.requestWillBeSent':
            self.requests.append((params['request']['method'], params['request']['url']))
        elif method == 'Inspector.targetCrashed':
            raise RuntimeError('the page crashed')
        elif method == 'Page.lifecycleEvent' and params['name'] == 'load':
            self._loaded.add(params['loaderId'])

    def resize(self, width, height=900):
        """Set the size of the window; the narrow one is a phone's."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 500)

    def open(self, url):
        """Load a page and wait until everything in it is loaded."""
        loader = self.call('Page.navigate', url=url)['loaderId']
        end = time.monotonic() + 60
        while loader not in self._loaded:
            self._event(self._read(end - time.monotonic(), url))

    def run(self, script, limit=120):
        """Evaluate JavaScript and return its value; promises are awaited."""
        done = self.call('Runtime.evaluate', limit=limit, expression=script, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in done:
            raise RuntimeError(done['exceptionDetails'].get('exception', {}).get('description', 'no description'))
        return done['result'].get('value')

    def wait_for(self, condition, limit=60):
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + limit
        while not self._holds(condition):
            if time.monotonic() > end:
                raise TimeoutError(f'{condition}; {self.errors}')
            time.sleep(0.1)

    def _holds(self, condition):
        try:
            return self.run(condition)
        except RuntimeError as error:
            if 'navigated or closed' in str(error):  # between two pages
                return False
            raise

    def screenshot(self, path, whole=False):
        """Write a PNG of the window, or of the whole page."""
        shot = self.call('Page.captureScreenshot', format='png', captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(shot['data']))


@contextlib.contextmanager
def served(folder, isolated=False):
    """Serve a folder on the loopback interface; isolated pages may use threads in wasm."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, '.mjs': 'text/javascript',
                          '.wasm': 'application/wasm'}

        def end_headers(self):
            if isolated:
                self.send_header('Cross-Origin-Opener-Policy', 'same-origin')
                self.send_header('Cross-Origin-Embedder-Policy', 'require-corp')
            super().end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()
