"""The site builds without a warning, its links lead somewhere, and it fits a desktop and a phone."""

import re
from urllib.parse import unquote, urldefrag

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group('site')]
PAGES = ('index', 'install', 'tutorial', 'own_data', 'parts', 'deploy', 'scaling', 'results', 'design', 'api/index',
         'api/models', 'api/runtime')
OVERFLOW = '''(() => {
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    const named = [...document.querySelectorAll("article *")].filter(
        (e) => e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest("pre, .table-wrapper"));
    return wide > 0 ? [wide, ...named.slice(0, 3).map((e) => e.outerHTML.slice(0, 120))] : [];
})()'''


def test_every_link_inside_the_site_leads_to_a_place(site):
    texts = {path: path.read_text(encoding='utf-8') for path in site.rglob('*.html')}
    names = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in texts.items()}
    assert len(texts) > 30
    broken = []
    for path, text in texts.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            target, name = urldefrag(unquote(link))
            target = target.partition('?')[0]
            if re.match(r'[a-z]+:', link):
                continue
            place = (path.parent / target).resolve() if target else path
            if not place.is_file() or name and place in names and name not in names[place] | {'top'}:
                broken.append(f'{path.relative_to(site)}: {link}')
    assert not broken


def test_every_part_is_in_the_api_reference(site):
    import bisenet_plugins
    described = ''.join(path.read_text(encoding='utf-8') for path in (site / 'docs' / 'api').glob('*.html'))
    assert not [name for name in bisenet_plugins.__all__ if not name.startswith('_')
                and not re.search(rf'id="bisenet_plugins\.[\w.]*\b{name}"', described)]


@pytest.mark.parametrize('width', [1280, 390])
def test_pages_fit_and_nothing_complains(page, url, width):
    page.resize(width)
    for name in PAGES:
        page.open(f'{url}/docs/{name}.html')
        assert not page.run(OVERFLOW), name
    page.open(f'{url}/')
    page.wait_for('location.pathname == "/docs/index.html" && document.readyState == "complete"')
    assert page.errors == []
    assert not [address for _, address in page.requests if not address.startswith((url, 'data:'))]


def test_search_finds_a_class_and_a_guide(page, url):
    for words, found in (('BGAHead', 'api/models.html'), ('calibration nncf', 'deploy.html')):
        page.open(f'{url}/search.html?q={words.replace(" ", "+")}')
        page.wait_for('document.querySelectorAll("#search-results li a").length')
        page.wait_for(f'[...document.querySelectorAll("#search-results li a")].some((a) => a.href.includes("{found}"))')
    page.open(f'{url}/docs/install.html')
    page.run('document.querySelector("input.sidebar-search").value = "OhemCrossEntropyLoss"')
    page.run('document.querySelector("form.sidebar-search-container").submit()')
    page.wait_for('[...document.querySelectorAll("#search-results li a")].some((a) => a.href.includes("api/models"))')
    assert page.errors == []
