"""One installation for all fault tests: starting it costs more than most of them."""

from collections.abc import Iterator

import pytest

from tests.faults.harness import Site, folder_for_servers


@pytest.fixture(scope="package")
def only_site() -> Iterator[Site]:
    with folder_for_servers() as folder:
        site = Site(folder)
        try:
            site.start()
            site.install()
            yield site
        finally:
            site.stop()


@pytest.fixture
def site(only_site: Site) -> Iterator[Site]:
    """The installation with everything running; after the test all the invariants must hold, over all that ever happened there."""
    only_site.repair()
    yield only_site
    only_site.repair()
    assert only_site.violations() == []
