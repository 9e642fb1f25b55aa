"""The endpoints that tests share. Each test has a vault of its own, and nothing else to rely on."""

import pytest
from harness import MIB, Endpoint, bare, hashes
from mounting import Mount
from moto.server import ThreadedMotoServer

QUICK = ["--retrieval-delay", "all=0s", "--retrieval-delay", "bulk=1h", "--inventory-interval", "0s"]


def pytest_addoption(parser):
    parser.addoption("--nightly", action="store_true", help="also run the tests that take minutes")


def pytest_configure(config):
    config.addinivalue_line("markers", "nightly: takes minutes; runs with --nightly only")
    config.addinivalue_line("markers", "load: takes longer with --nightly")


def pytest_collection_modifyitems(config, items):
    # What waits for a minute waits while the others run.
    items.sort(key=lambda item: "stalled" in item.fixturenames)
    if not config.getoption("--nightly"):
        for item in items:
            if item.get_closest_marker("nightly"):
                item.add_marker(pytest.mark.skip(reason="needs --nightly"))


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    """Retrievals and inventories are ready at once, except in the tier Bulk."""
    endpoint = Endpoint(tmp_path_factory.mktemp("endpoint") / "data", *QUICK)
    yield endpoint
    endpoint.stop()


@pytest.fixture(scope="session")
def clocked(tmp_path_factory):
    """Everything takes as long as at AWS, by a virtual clock. Tests may only rely on time that they add."""
    endpoint = Endpoint(tmp_path_factory.mktemp("clocked") / "data", "--admin", "--clock", "virtual")
    yield endpoint
    endpoint.stop()


@pytest.fixture(scope="session")
def stalled(endpoint):
    """The connection of an upload whose body has stopped in the middle."""
    data = bytes(MIB)
    with bare(endpoint.vault(), hashes(data) | {"Content-Length": str(len(data))}) as connection:
        connection.settimeout(120)
        connection.sendall(data[: MIB // 2])
        yield connection


@pytest.fixture(scope="session", autouse=True)
def stall_early(request):
    """Lets the stalled upload begin before the first test, if it is asked for at all."""
    if any("stalled" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("stalled")


@pytest.fixture
def serve(tmp_path):
    """Starts endpoints with options of their own."""
    started = []

    def start(*options):
        started.append(Endpoint(tmp_path / f"data-{len(started)}", *options))
        return started[-1]

    yield start
    for endpoint in started:
        endpoint.stop()


@pytest.fixture
def mount(tmp_path, serve):
    """Mounts endpoints that `serve` has started; see `Mount`."""
    mounted = []

    def mount(endpoint, environment=None, **settings):
        directory = tmp_path / f"mount-{len(mounted)}"
        directory.mkdir()
        mounted.append(Mount(endpoint, directory, environment, **settings))
        return mounted[-1]

    yield mount
    for one in mounted:
        one.close()


@pytest.fixture(scope="session")
def moto():
    """The URL of moto, which is SNS and SQS, on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def vault(endpoint):
    return endpoint.vault()


@pytest.fixture
def slow_vault(clocked):
    """A vault where everything takes as long as at AWS."""
    return clocked.vault()
