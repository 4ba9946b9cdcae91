"""How far out functions get: decided on the address that is connected to, whatever it is called (checks 50, 54 to 56)."""

import ctypes
import http.server
import json
import os
import shutil
import socket
import socketserver
import struct
import subprocess
import threading

import botocore.exceptions
import pytest

from conftest import Functions, Platform

# Asks the proxy for tunnels and for pages, by hand and as a library does.
CLIENT = """
import json, os, socket, urllib.request, urllib.error
proxy = ('127.0.0.1', int(os.environ.get('AWS_ENDPOINT_URL', 'http://x:1').rsplit(':', 1)[1]))

def said(stream):
    got = b''
    while True:
        try:
            more = stream.recv(65536)
        except OSError:
            break
        if not more:
            break
        got += more
    head, _, body = got.partition(b'\\r\\n\\r\\n')
    return head.split(b' ')[1].decode() if b' ' in head else '', head.decode('latin-1'), body.decode('latin-1')

def ask(target, method='CONNECT', after=b''):
    with socket.create_connection(proxy, timeout=20) as stream:
        line = f'CONNECT {target} HTTP/1.1' if method == 'CONNECT' else f'GET http://{target}/page HTTP/1.1'
        stream.sendall(f'{line}\\r\\nHost: elsewhere\\r\\n\\r\\n'.encode() + after)
        return said(stream)

def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
    except OSError as error:
        return [0, str(error)]

def handler(event, context):
    scope = dict(globals(), event=event)
    exec(event['code'], scope)
    return scope.get('answer')
"""


class Everywhere(http.server.ThreadingHTTPServer):
    """On all addresses of both families."""

    address_family = socket.AF_INET6


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers everything, counts, and leads astray whoever asks for that."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Host"]))
        if self.path.startswith("/astray/"):
            self.send_response(302)
            self.send_header("Location", "http://" + self.path.removeprefix("/astray/"))
        else:
            self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"page")

    def log_message(self, *_):
        pass


# Addresses of the network in which everything here runs.
PRIVATE, PUBLIC, PUBLIC_6 = "10.77.0.1", "11.22.33.44", "2a00:77::1"
NEW_NETWORK = 0x40000000


@pytest.fixture(scope="module")
def elsewhere():
    """A network of our own, with a server that listens on private, public and forbidden addresses."""
    if os.getuid() != 0 or not shutil.which("ip"):
        pytest.skip("skipped: a network of our own needs root and ip")
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert libc.unshare(NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for address in (f"{PRIVATE}/32", f"{PUBLIC}/32", "169.254.169.254/32", f"{PUBLIC_6}/128", "fd00:ec2::254/128"):
            subprocess.run(["ip", "addr", "add", address, "dev", "lo"], check=True)
        server = Everywhere(("::", 0), Pages)
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
    finally:
        assert libc.setns(home, NEW_NETWORK) == 0
        os.close(home)


def client(platform, reach=None):
    functions = Functions(platform)
    tags = {"Tags": {"dayfly:egress": reach}} if reach else {}
    return functions, functions.create(CLIENT, Timeout=60, MemorySize=256, **tags)


def forms(port):
    """The machine's own loopback and other forbidden places, in every spelling."""
    loopback = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0.0.0.0", "0",
                "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[::]", "127.255.255.254", "LOCALHOST"]
    metadata = ["169.254.169.254", "169.254.170.2", "2852039166", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200",
                "168.63.129.16", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]"]
    return [f"{host}:{port}" for host in loopback + metadata]


def test_forbidden_addresses_in_every_spelling(own, elsewhere):
    platform = own("--egress", "all")
    functions, name = client(platform, "all")
    port = elsewhere.server_address[1]
    asked = len(elsewhere.asked)
    code = "answer = {t + ' ' + m: ask(t, m) for t in event['targets'] for m in ('CONNECT', 'GET')}"
    answers = functions.call(name, {"code": code, "targets": forms(port)})
    for target, (status, head, body) in answers.items():
        # A resolver may refuse an odd spelling before it is an address.
        refused = json.loads(body)["Type"]
        assert (status, refused) in (("403", "EgressDenied"), ("502", "EgressUnknownHost")), (target, status, body)
        assert "x-amzn-errortype: " + refused in head
    denied = [target for target, (status, _, _) in answers.items() if status == "403"]
    assert len(denied) > len(answers) * 3 // 4, answers
    assert len(elsewhere.asked) == asked, "nothing was sent"


def test_private_networks_are_for_those_who_may(own, elsewhere):
    place = f"{PRIVATE}:{elsewhere.server_address[1]}"
    code = """
tunnel = ask(event['place'], 'CONNECT', b'GET /tunnel HTTP/1.0\\r\\n\\r\\n')
answer = [fetch('http://' + event['place'] + '/plain'), tunnel[0], tunnel[2], sorted(n for n in os.environ if 'proxy' in n.lower())]
"""
    variables = sorted(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy", "NODE_USE_ENV_PROXY"])
    open_to = {("all", "all"): True, ("all", "public"): False, ("all", None): False, ("public", "all"): False, ("platform", "all"): False}
    for (allowed, asked), is_open in open_to.items():
        platform = own("--egress", allowed)
        functions, name = client(platform, asked)
        before = len(elsewhere.asked)
        plain, status, tunnelled, proxies = functions.call(name, {"code": code, "place": place})
        if is_open:
            assert plain == [200, "page"] and status == "200" and tunnelled.endswith("page"), (plain, status, tunnelled)
            assert elsewhere.asked[before:] == [("/tunnel", None), ("/plain", place)]
            assert proxies == variables
        else:
            effective = min(allowed, asked or "platform", key=["none", "platform", "public", "all"].index)
            assert status == "403" and f"this function's egress is {effective}" in tunnelled, tunnelled
            assert elsewhere.asked[before:] == []
            assert proxies == (variables if effective == "public" else [])
        platform.stop()


def test_a_redirect_is_judged_like_any_request(own, elsewhere):
    functions, name = client(own("--egress", "all"), "all")
    port = elsewhere.server_address[1]
    for target in (f"127.0.0.1:{port}/x", f"169.254.169.254:{port}/latest/meta-data/", f"localhost:{port}/x"):
        url = f"http://{PRIVATE}:{port}/astray/{target}"
        # A client that goes straight to its own loopback finds nothing there; by the proxy it is refused.
        code = "os.environ['NO_PROXY'] = os.environ['no_proxy'] = ''\nanswer = fetch(event['url'])"
        status, body = functions.call(name, {"code": code, "url": url})
        assert status == 403 and "EgressDenied" in body, (target, status, body)
    assert not [path for path, _ in elsewhere.asked if path.startswith(("/x", "/latest"))]


def test_without_egress_there_is_nothing_at_all(own, elsewhere):
    functions, name = client(own(), "none")
    code = """
def connect(port):
    with socket.create_connection(('127.0.0.1', port), timeout=5):
        return 'connected'
answer = [os.environ.get('AWS_ENDPOINT_URL'), []]
for port in (4566, event['port']):
    try:
        answer[1].append(connect(port))
    except OSError as error:
        answer[1].append(error.errno)
"""
    port = int(functions.platform.endpoint.rsplit(":", 1)[1])
    assert functions.call(name, {"code": code, "port": port}) == [None, [111, 111]]


def test_a_change_holds_at_once(own, elsewhere):
    functions, name = client(own("--egress", "all"), "all")
    arn = functions.client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    place = f"{PRIVATE}:{elsewhere.server_address[1]}"
    event = {"code": "answer = ask(event['place'], 'GET')[0]", "place": place}
    assert functions.call(name, event) == "200"
    functions.client.tag_resource(Resource=arn, Tags={"dayfly:egress": "public"})
    assert functions.call(name, event) == "403"
    functions.client.untag_resource(Resource=arn, TagKeys=["dayfly:egress"])
    assert functions.call(name, event) == "403"
    with pytest.raises(botocore.exceptions.ClientError, match="must be one of none, platform, public, all"):
        functions.client.tag_resource(Resource=arn, Tags={"dayfly:egress": "everywhere"})


def test_a_flood_of_connections_has_an_end(own, elsewhere):
    """Check 54: one function's are bounded, and another's go on."""
    platform = own("--egress", "all")
    functions, name = client(platform, "all")
    other = functions.create(CLIENT, Tags={"dayfly:egress": "all"})
    place = f"{PRIVATE}:{elsewhere.server_address[1]}"
    code = """
held, counts = [], {}
for _ in range(400):
    stream = socket.create_connection(proxy, timeout=20)
    stream.sendall(f"CONNECT {event['place']} HTTP/1.1\\r\\n\\r\\n".encode())
    status = stream.recv(4096).split(b' ')[1].decode()
    counts[status] = counts.get(status, 0) + 1
    held.append(stream)
import builtins
builtins.held = held
answer = counts
"""
    counts = functions.call(name, {"code": code, "place": place})
    assert counts == {"200": 128, "503": 272}, counts
    assert functions.call(other, {"code": "answer = ask(event['place'], 'GET')[0]", "place": place}) == "200"
    platform.api(f"functions/{name}/instances", method="DELETE")


@pytest.mark.parametrize("host", [PUBLIC, f"[{PUBLIC_6}]"])
def test_public_addresses_are_for_those_who_may(own, elsewhere, host):
    """Checks 50, 55: IPv4 and IPv6 alike."""
    place = f"{host}:{elsewhere.server_address[1]}"
    code = "answer = [ask(event['place'], 'GET')[0], ask(event['place'], 'CONNECT', b'GET /t HTTP/1.0\\r\\n\\r\\n')[0]]"
    platform = own()
    for asked, expected in (("public", "200"), ("all", "200"), ("platform", "403"), (None, "403")):
        functions, name = client(platform, asked)
        before = len(elsewhere.asked)
        assert functions.call(name, {"code": code, "place": place}) == [expected, expected], asked
        assert len(elsewhere.asked) - before == (2 if expected == "200" else 0)


def test_names_that_are_none_are_refused_in_time(own, elsewhere):
    """Check 56: a name without an address, one too long, one with bytes that no name has."""
    functions, name = client(own("--egress", "all"), "all")
    targets = ["no-such-host.invalid:80", "x" * 300 + ".example:80", "a..b:80", "exa mple:80", "%2e:80", "[::g]:80", "é.example:80"]
    answers = functions.call(name, {"code": "answer = {t: ask(t) for t in event['targets']}", "targets": targets})
    for target, (status, _, body) in answers.items():
        expected = ("502", "504") if target.startswith(("no-such", "a..b", "[")) else ("400",)
        assert status in expected, (target, status, body)
        assert json.loads(body)["Type"].startswith("Egress") , body


A, CNAME, AAAA = 1, 5, 28
LOOPBACK, METADATA = "127.0.0.1", "169.254.169.254"


class Names(socketserver.BaseRequestHandler):
    """A name server that does whatever its names say."""

    def handle(self):
        if isinstance(self.request, tuple):
            said = self.answer(self.request[0], 512)
            if said:
                self.request[1].sendto(said, self.client_address)
            return
        while length := self.request.recv(2):
            said = self.answer(self.request.recv(struct.unpack(">H", length)[0]), 65535)
            self.request.sendall(struct.pack(">H", len(said)) + said)

    def answer(self, query, most):
        end = query.index(b"\0", 12)
        name, asked = query[13:13 + query[12]].decode(), query[end + 2]
        self.server.asked.append((name, asked))
        if name.startswith("silent"):
            return None
        records = [self.record(kind, value) for kind, value in self.records(name) if kind in (asked, CNAME)]
        head = lambda flags, count: query[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + query[12:end + 5]
        whole = head(0x8580, len(records)) + b"".join(records)
        return whole if len(whole) <= most else head(0x8780, 0)

    def records(self, name):
        times = sum(asked == (name, A) for asked in self.server.asked)
        return {
            "plain": [(A, PUBLIC)],
            "rebinds": [(A, PUBLIC if times == 1 else LOOPBACK)],
            "inside": [(A, LOOPBACK)],
            "metadata": [(A, METADATA)],
            "mapped": [(AAAA, f"::ffff:{LOOPBACK}")],
            "both": [(A, LOOPBACK), (A, METADATA), (A, PUBLIC)],
            "circle": [(CNAME, "circle")],
            "many": [(A, PUBLIC)] * 1000,
            "huge": [(A, PUBLIC)] * 4000,
        }.get(name, [])

    @staticmethod
    def record(kind, value):
        data = {A: lambda: socket.inet_aton(value), AAAA: lambda: socket.inet_pton(socket.AF_INET6, value),
                CNAME: lambda: bytes([len(value)]) + value.encode() + b"\5names\4test\0"}[kind]()
        return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(data)) + data


class Datagrams(socketserver.ThreadingUDPServer):
    max_packet_size = 4096


class Streams(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


@pytest.fixture(scope="module")
def hostile_names(elsewhere, workspace):
    """A platform whose machine asks a hostile name server, and what that was asked."""
    asked, servers = [], [kind((LOOPBACK, 53), Names) for kind in (Datagrams, Streams)]
    for server in servers:
        server.asked = asked
        threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = workspace / "resolv.conf"
    settings.write_text(f"nameserver {LOOPBACK}\n")
    platform = Platform(workspace / "hostile-names", "--egress", "all")
    platform.prefix = ("unshare", "-m", "sh", "-c", f'mount --bind {settings} /etc/resolv.conf && exec "$@"', "sh")
    yield platform.start(), asked
    assert platform.stop() == 0
    [server.shutdown() for server in servers]


def test_names_that_lead_astray_lead_nowhere(hostile_names, elsewhere):
    """Checks 50, 56: what a name leads to is judged at every connection, looked up once for it, and bounded."""
    platform, looked_up = hostile_names
    functions, name = client(platform, "all")
    port = elsewhere.server_address[1]
    expected = [
        ("plain", "200", None), ("rebinds", "200", None), ("rebinds", "403", "EgressDenied"), ("inside", "403", "EgressDenied"),
        ("metadata", "403", "EgressDenied"), ("mapped", "403", "EgressDenied"), ("both", "200", None),
        ("circle", "502", "EgressUnknownHost"), ("many", "200", None), ("huge", "200", None),
        ("nothing", "502", "EgressUnknownHost"), ("silent", "504", "EgressTimeout"),
    ]
    before = len(elsewhere.asked)
    code = "answer = [ask(f'{n}.names.test:' + str(event['port']), 'GET') for n in event['names']]"
    answers = functions.call(name, {"code": code, "port": port, "names": [host for host, _, _ in expected]})
    for (host, status, kind), (got, _, body) in zip(expected, answers):
        assert got == status and (kind is None or json.loads(body)["Type"] == kind), (host, got, body)
    reached = [host.split(".")[0] for _, host in elsewhere.asked[before:]]
    assert reached == [host for host, status, _ in expected if status == "200"], "nothing else was sent anywhere"
    assert looked_up.count(("rebinds", A)) == 2, "each connection goes where its one look-up led"


def test_a_flood_of_look_ups_leaves_others_theirs(hostile_names, elsewhere):
    """Check 54: one function has so many names looked up that never answer that there are no more for it, and another
    goes on."""
    platform, _ = hostile_names
    functions, flooding = client(platform, "all")
    other = functions.create(CLIENT, Tags={"dayfly:egress": "all"})
    place = f":{elsewhere.server_address[1]}"
    plain = {"code": "answer = ask('plain.names.test' + event['place'], 'GET')[0]", "place": place}
    assert functions.call(other, plain) == "200"
    code = """
import threading
answer, started = {}, []
def flood(n):
    status = ask(f'silent{n}.names.test' + event['place'], 'GET')[0]
    answer[status] = answer.get(status, 0) + 1
threads = [threading.Thread(target=flood, args=(n,)) for n in range(60)]
[one.start() for one in threads]
[one.join() for one in threads]
"""
    got = []
    flood = threading.Thread(target=lambda: got.append(functions.call(flooding, {"code": code, "place": place})))
    flood.start()
    served = 0
    while flood.is_alive():
        assert Functions(platform).call(other, plain) == "200"
        served += 1
    flood.join()
    assert got == [{"504": 16, "503": 44}] and served > 1, (got, served)
