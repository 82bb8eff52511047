"""Addresses, what answers there, what the environment says, and the flow: nobody here is asked but this machine."""

from emurl.footage.leaderboard.http import Session
from tests.bad_input.kinds import WORK, Place, bad, refused_port, variables
from tests.fixtures.http_server import Answer, Request, as_json

QUIET = "--set tracking.wandb=false --set tracking.tensorboard=false"
RUNS = f"run runs --config a.yaml --store store {QUIET}"
BOARD = f"{RUNS} --set runs.api_base={{origin}}/api/v1"
URLS = f"{RUNS} --set runs.source=urls --set runs.path=urls.txt"
BEGAN = ("runs: ", "  ")
A_YAML = {"a.yaml": ""}
JSON = {"Content-Type": "application/json"}
FLOW = "flows.pipeline runs --config a.yaml"


def closed(place: Place) -> dict[str, str]:
    answering(Answer())(place)  # for its clock
    return {"origin": f"http://127.0.0.1:{refused_port()}"}


def answering(answer):
    """A server that gives this to every question, and a clock by which waiting takes no time."""

    def make(place: Place) -> dict[str, str]:
        place.patch.setitem(Session.__init__.__kwdefaults__, "sleep", lambda seconds: None)
        return {"origin": place.serve(lambda request: answer(request) if callable(answer) else answer)}

    return make


def with_password(place: Place) -> dict[str, str]:
    return {"origin": answering(Answer(status=403))(place)["origin"].replace("://", "://me:secret@")}


def around(request: Request) -> Answer:
    return Answer(status=302, headers={"Location": request.path})


def elsewhere(request: Request) -> Answer:
    return Answer(status=302, headers={"Location": "ftp://127.0.0.1/runs"})


def board(name: str, answer, *says: str, code: int = 2):
    return bad(name, BOARD, *says, files=A_YAML, make=answering(answer), code=code, progress=BEGAN, kept=WORK)


def address(name: str, base: str, *says: str):
    return bad(name, f"{RUNS} --set runs.api_base='{base}'", "runs.api_base", *says, files=A_YAML)


def line(name: str, text: str, *says: str):
    return bad(name, URLS, "urls.txt", *says, files={"a.yaml": "", "urls.txt": text})


def address_by_chance(place: Place) -> None:
    """A true address, damaged where it cannot be."""
    wrong = ["http//a.b/x.mp4", "http:///x.mp4", "://a.b/x.mp4", "http://[::1/x.mp4", "http://a.b:99999/x.mp4", "http://a b/x.mp4", "x.mp4",
             "file:///x.mp4", "javascript:x", "http://a.b:port/x", "http://a.b/\u2028x", "data:video/mp4;base64,AAAA"]  # fmt: skip
    lines = ["# mine", "http://127.0.0.1:9/a.mp4", "http://127.0.0.1:9/b.mp4"]
    lines.insert(place.rng.randrange(1, 4), place.rng.choice(wrong))
    place.write("urls.txt", "\n".join(lines))


COOKIES = (
    f"run runs --config a.yaml --store store {QUIET} --set runs.source=youtube --set runs.query=x --set runs.cookies=cookies.txt"
)

KINDS = [
    address("an address without a scheme", "127.0.0.1/api", "127.0.0.1/api"),
    address("an address of FTP", "ftp://127.0.0.1/api", "ftp://127.0.0.1/api", "http"),
    address("an address with a space", "http://127.0.0.1 /api/v1", "127.0.0.1 "),
    address("an address of a broken IPv6", "http://[::1/api/v1", "[::1"),
    address("an address with a port out of range", "http://127.0.0.1:99999/api", "99999"),
    address("an address with a port that is a word", "http://127.0.0.1:http/api", "127.0.0.1:http"),
    address("an address without a host", "http:///api/v1", "http:///api/v1"),
    address("an address that is empty", '""', "address"),
    bad(
        "a port where nobody listens",
        BOARD,
        "runs.api_base",
        "refused",
        files=A_YAML,
        make=closed,
        progress=BEGAN,
        kept=WORK,
    ),
    board("a server that has no such page", Answer(status=404), "game", "46w22l6r"),
    bad(
        "an address with a password",
        BOARD,
        "runs.api_base: http://127.0.0.1:",
        "status 403",
        files=A_YAML,
        make=with_password,
        progress=BEGAN,
        kept=WORK,
    ),
    board("a server that forbids", Answer(status=403), "status 403"),
    board("a server that fails and fails", Answer(status=500), "status 500", code=1),
    board(
        "a server that asks for a month of patience",
        Answer(status=429, headers={"Retry-After": "2600000"}),
        "come back in",
        code=1,
    ),
    board("a redirect in a circle", around, "redirect", code=2),
    board("a redirect to another scheme", elsewhere, "ftp:"),
    board("a redirect to a broken IPv6", Answer(status=302, headers={"Location": "http://[x"}), "leads to no address"),
    board("a page for JSON", Answer(b"<html>", headers={"Content-Type": "text/html"}), "text/html", "JSON"),
    board("JSON that is cut", Answer(b'{"data": [', headers=JSON), "JSON that is broken"),
    board("JSON that is empty", Answer(b"", headers=JSON), "answers nothing", "JSON"),
    board("JSON that is a list", as_json([1]), "list", "object"),
    board("JSON nested beyond reason", Answer(b"[" * 100_000, headers=JSON), "JSON that is broken"),
    board("JSON that says nothing", as_json({}), "game"),
    board("JSON of words where records should be", as_json({"data": "x"}), "game"),
    board("JSON of other records", as_json({"data": {"id": 7, "names": [], "abbreviation": None}}), "runs.categories"),
    board("an answer that ends too soon", Answer(b'{"data": []}', length=500), "127.0.0.1", code=2),
    board("an answer that is no HTTP compression", Answer(b"x", headers={"Content-Encoding": "gzip"}), "127.0.0.1", code=2),
    bad("a list of addresses that is not there", URLS, "urls.txt", "o such file", files=A_YAML),
    bad("a folder for a list of addresses", URLS, "urls.txt", files={"a.yaml": "", "urls.txt/x": ""}, progress=BEGAN, kept=WORK),
    bad(
        "a list of addresses with a line that is none",
        URLS,
        "urls.txt",
        "line",
        files=A_YAML,
        make=address_by_chance,
        times=6,
        progress=BEGAN,
        kept=WORK,
    ),
    bad(
        "a list of addresses without one",
        URLS,
        "urls.txt",
        "no address",
        files={"a.yaml": "", "urls.txt": "# none yet\n"},
        progress=BEGAN,
        kept=WORK,
    ),
    bad(
        "a list of addresses in UTF-16",
        URLS,
        "urls.txt",
        "UTF-8",
        files={"a.yaml": "", "urls.txt": "http://a.b/c".encode("utf-16")},
        progress=BEGAN,
        kept=WORK,
    ),
    bad("a source without what it reads", f"{RUNS} --set runs.source=urls", "runs.path", files=A_YAML),
    bad("a query that nobody would read", f"{RUNS} --set runs.query=x", "runs.query", files=A_YAML),
    bad("lengths the wrong way round", f"{RUNS} --set runs.shortest_s=9 --set runs.longest_s=1", "runs.longest_s", files=A_YAML),
    bad(
        "an address beside the demo leaderboard",
        f"{RUNS} --set runs.broadcast={{}} --set runs.api_base=http://127.0.0.1:1/x",
        "runs.api_base",
        "broadcast",
        files=A_YAML,
    ),
    bad("a demo leaderboard of an unknown game", f"{RUNS} --set broadcast.game=chess", "broadcast.game", "chess", files=A_YAML),
    bad("cookies that are not there", COOKIES, "runs.cookies", "cookies.txt", files=A_YAML, progress=BEGAN, kept=WORK),
    bad(
        "cookies that are none",
        COOKIES,
        "runs.cookies",
        "cookies.txt",
        files={"a.yaml": "", "cookies.txt": "session=1\n"},
        progress=BEGAN,
        kept=WORK,
    ),
    bad(
        "cookies that are no text",
        COOKIES,
        "runs.cookies",
        "cookies.txt",
        files={"a.yaml": "", "cookies.txt": b"\xff\xfe\0\1"},
        progress=BEGAN,
        kept=WORK,
    ),
    bad(
        "a proxy that is none",
        f"{RUNS} --set runs.api_base=http://emurl.invalid/api",
        "HTTP_PROXY",
        "[broken",
        files=A_YAML,
        make=variables(HTTP_PROXY="http://[broken"),
        progress=BEGAN,
        kept=WORK,
    ),
    bad(
        "a proxy of an unknown scheme",
        f"{RUNS} --set runs.api_base=http://emurl.invalid/api",
        "HTTP_PROXY",
        "gopher",
        files=A_YAML,
        make=variables(HTTP_PROXY="gopher://x:1"),
        progress=BEGAN,
        kept=WORK,
    ),
    bad(
        "a mode of W&B that is none",
        "run runs --config a.yaml --store store",
        "WANDB_MODE",
        "sometimes",
        files=A_YAML,
        make=variables(WANDB_MODE="sometimes"),
        progress=BEGAN,
        kept=WORK,
    ),
    bad("a tag that W&B does not take", f"{RUNS} --set tracking.tags=[{'x' * 65}]", "tracking.tags", files=A_YAML),
    bad("a flow of settings that are not there", "flows.pipeline --config none.yaml", "none.yaml", "no such file", process=True),
    bad("a flow of an unknown stage", "flows.pipeline runz --config a.yaml", "runz", "did you mean runs?", files=A_YAML),
    bad("a flow whose parent is lacking", "flows.pipeline tokenizer --config a.yaml --set store=store", "frames", files=A_YAML),
    bad("a flow with an unknown option", "flows.pipeline --stores x", "--stores"),
    bad("a flow on a device that is none", f"{FLOW} --set device=gpu", "device", files=A_YAML),
    bad(
        "a flow with an input nobody reads",
        f"{FLOW} --set store=store --input reward",
        "reward",
        "no --input",
        files=A_YAML,
        store="text",
    ),
    bad(
        "a Prefect server that is no address",
        f"{FLOW} --set store=store",
        "PREFECT_API_URL",
        "http://[broken",
        files=A_YAML,
        make=variables(PREFECT_API_URL="http://[broken"),
        alone=True,
    ),
]
