"""The progress bar prints failures above itself, as they are."""

from pathlib import Path

from bisenet_plugins.cli.progress import progress_bar
from bisenet_plugins.runtime.sources import Source


def test_failures_are_printed_as_they_are(capsys):
    video, image = Source('video', 'a[b]', Path('a[b].mp4')), Source('image', 'c', Path('c.png'))
    with progress_bar(2) as bar:
        bar.started(video)
        bar.advanced(video, 0, 10)
        bar.ended(video, None)
        bar.started(image)
        bar.ended(image, 'c.png: [bold]broken[/bold]')
    told = capsys.readouterr().err
    assert 'failed: c.png: [bold]broken[/bold]' in told and '2/2' in told
