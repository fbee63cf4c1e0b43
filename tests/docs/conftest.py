"""The built site and a browser to look at it; where a tool is missing, its tests are skipped with the reason."""

import importlib.util
import os
from pathlib import Path

import pytest

from .chromium import COMMAND, Page, served

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def site(tmp_path_factory):
    """Folder of the site, built as ``make docs`` builds it, where a warning is an error; or what ``SITE`` names."""
    if os.environ.get('SITE'):
        return ROOT / os.environ['SITE']
    if not all(map(importlib.util.find_spec, ('sphinx', 'myst_nb', 'furo'))):
        pytest.skip('the site needs the extra [docs]')
    folder = tmp_path_factory.mktemp('site')
    from sphinx.cmd.build import build_main
    assert build_main(['-q', '-W', '--keep-going', '-c', str(ROOT / 'docs'), str(ROOT), str(folder / 'html'),
                       '-d', str(folder / 'doctrees')]) == 0
    return folder / 'html'


@pytest.fixture
def page(tmp_path):
    """A tab of a headless Chromium, of a desktop's width."""
    if COMMAND is None:
        pytest.skip('Chromium is not installed')
    tab = Page(tmp_path / 'profile')
    tab.resize(1280)
    yield tab
    tab.close()


@pytest.fixture
def url(site):
    """Where the site is served."""
    with served(site) as address:
        yield address
