"""Java: jars that Maven built, deployed through the binary and called with boto3."""

import contextlib
import json
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from conftest import ROOT, Functions, until, zipped_files
from harness import everything_below

MAVEN = shutil.which("mvn")
PATIENCE_S = 300


@pytest.fixture(scope="module")
def java(platform):
    """The runtimes for Java that the platform has, newest first."""
    found = {r["version"].split(".")[0] for r in platform.banner["runtimes"] if r["language"] == "java"}
    if not found:
        pytest.skip("no Java on this machine, or this build is without Java")
    return [f"java{major}" for major in sorted(found, key=int, reverse=True) if f"java{major}" in ("java17", "java21", "java25")]


@pytest.fixture(scope="module")
def project(workspace):
    """A copy of the example, built; skips where Maven or its registry is not to be had."""
    if not MAVEN:
        pytest.skip("no Maven on this machine")
    folder = workspace / "java-hello"
    shutil.copytree(ROOT / "examples/java-hello", folder, ignore=shutil.ignore_patterns("target"))
    built = subprocess.run([MAVEN, "--batch-mode", "--quiet", "package"], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S)
    if built.returncode and "Could not transfer artifact" in built.stdout:
        pytest.skip("Maven Central cannot be reached")
    assert built.returncode == 0, built.stdout
    return folder


def built_jar(project):
    return next(path for path in (project / "target").glob("*.jar"))


def compiled(workspace, **sources):
    """A package of classes; the names are those of the classes, the sources may use the JDK alone."""
    javac = shutil.which("javac")
    if not javac:
        pytest.skip("no javac on this machine")
    folder = workspace / uuid.uuid4().hex
    out = folder / "classes"
    folder.mkdir()
    for name, text in sources.items():
        (folder / f"{name}.java").write_text(text)
    subprocess.run([javac, "--release", "17", "-d", out, *folder.glob("*.java")], check=True, timeout=PATIENCE_S)
    return zipped_files({str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.class")})


def test_a_maven_project_is_built_deployed_and_called(platform, project, java):
    name = f"t-{uuid.uuid4().hex[:12]}"
    deployed = json.loads(platform.cli("deploy", project, "--name", name, "--json").stdout)
    assert deployed["handler"] == "hello.Hello"
    assert deployed["runtime"] == java[0]
    client = platform.client("lambda")
    try:
        answer = client.invoke(FunctionName=name, Payload=b'{"name": "ada lovelace"}', LogType="Tail")
        body = json.loads(answer["Payload"].read())
        assert body["hello"] == "Ada Lovelace"
        assert f"java{body['java'].split('.')[0]}" == java[0]
        assert 0 < body["millisecondsLeft"] <= 10_000
        again = platform.cli("deploy", project, "--name", name).stdout
        assert "unchanged" in again, "the same sources are the same package"
    finally:
        client.delete_function(FunctionName=name)


def test_a_jar_is_deployed_as_it_is(platform, project, java):
    """Its library is missing, which is the function's own error."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    platform.cli("deploy", built_jar(project), "--name", name, "--runtime", "java")
    client = platform.client("lambda")
    try:
        answer = client.invoke(FunctionName=name, Payload=b'{"name": "x"}')
        error = json.loads(answer["Payload"].read())
        assert answer["FunctionError"] == "Unhandled"
        assert error["errorType"] == "java.lang.NoClassDefFoundError"
        assert error["errorMessage"] == "org/apache/commons/text/WordUtils"
    finally:
        client.delete_function(FunctionName=name)


EVENTS_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>events</artifactId><version>1</version>
  <properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target></properties>
  <dependencies><dependency>
    <groupId>com.amazonaws</groupId><artifactId>aws-lambda-java-events</artifactId><version>3.11.6</version>
  </dependency></dependencies>
</project>
"""
EVENTS = """
import com.amazonaws.services.lambda.runtime.events.*;

public class Events {
    public String sqs(SQSEvent event) {
        var one = event.getRecords().get(0);
        return one.getBody() + " " + one.getEventSourceArn() + " " + one.getMessageAttributes().get("k").getStringValue();
    }
    public String s3(S3Event event) {
        var one = event.getRecords().get(0);
        return one.getS3().getBucket().getName() + " " + one.getS3().getObject().getUrlDecodedKey() + " " + one.getEventTime();
    }
    public String sns(SNSEvent event) {
        var one = event.getRecords().get(0).getSNS();
        return one.getMessage() + " " + one.getTimestamp();
    }
    public String dynamo(DynamodbEvent event) {
        var one = event.getRecords().get(0).getDynamodb();
        return one.getKeys().get("id").getS() + " " + one.getNewImage().get("b").getBOOL() + " "
            + one.getApproximateCreationDateTime().getTime();
    }
    public APIGatewayV2HTTPResponse http(APIGatewayV2HTTPEvent event) {
        return APIGatewayV2HTTPResponse.builder().withStatusCode(201).withBody(event.getRequestContext().getHttp().getMethod()).build();
    }
}
"""
EVENT_CASES = {
    "sqs": (
        {"body": "b", "eventSourceARN": "arn:q", "messageAttributes": {"k": {"stringValue": "v", "dataType": "String"}}},
        "b arn:q v",
    ),
    "s3": (
        {"eventTime": "1970-01-01T00:00:00.000Z", "s3": {"bucket": {"name": "n"}, "object": {"key": "a+b%20c", "size": 1}}},
        "n a b c 1970-01-01T00:00:00.000Z",
    ),
    "sns": ({"Sns": {"Message": "m", "Timestamp": "1970-01-01T00:00:00.000Z"}}, "m 1970-01-01T00:00:00.000Z"),
    "dynamo": (
        {"dynamodb": {"ApproximateCreationDateTime": 1.5, "Keys": {"id": {"S": "k"}}, "NewImage": {"b": {"BOOL": True}}}},
        "k true 1500",
    ),
}


def test_awss_classes_of_events(platform, project, workspace, java):
    folder = workspace / "events"
    source = folder / "src/main/java/Events.java"
    source.parent.mkdir(parents=True)
    source.write_text(EVENTS)
    (folder / "pom.xml").write_text(EVENTS_POM)
    name = f"t-{uuid.uuid4().hex[:12]}"
    platform.cli("deploy", folder, "--name", name, "--handler", "Events::http", "--runtime", java[-1])
    client = platform.client("lambda")

    def call(event):
        answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read())

    try:
        assert call({"requestContext": {"http": {"method": "PUT"}}}) == {"statusCode": 201, "body": "PUT", "isBase64Encoded": False}
        for method, (record, expected) in EVENT_CASES.items():
            client.update_function_configuration(FunctionName=name, Handler=f"Events::{method}")
            assert call({"Records": [record]}) == expected, method
    finally:
        client.delete_function(FunctionName=name)


PLAIN = """
import java.io.*;
import java.util.*;

public class Plain {
    static int calls;
    public Map<String, Object> handle(Map<String, Object> event) throws Exception {
        System.out.println("printed " + event.get("text"));
        Map<String, Object> out = new TreeMap<>();
        out.put("calls", ++calls);
        out.put("version", Runtime.version().feature());
        out.put("environment", System.getenv("MINE"));
        out.put("execution", System.getenv("AWS_EXECUTION_ENV"));
        out.put("heap", Runtime.getRuntime().maxMemory() >> 20);
        File file = File.createTempFile("prefix", "y");
        out.put("written", file.delete());
        out.put("task", new File("Plain.class").exists() && !new File(".").canWrite());
        return out;
    }
    public String fails(Map<String, Object> event) { throw new IllegalStateException("no", new IOException("inner")); }
    public String large(int bytes) { return "x".repeat(bytes); }
    public int hog(String event) { List<byte[]> all = new ArrayList<>(); while (true) all.add(new byte[1 << 20]); }
    public String exits(String event) { System.exit(3); return ""; }
    public String sleeps(String event) throws Exception { Thread.sleep(60_000); return ""; }
}
"""


def test_every_java_here_runs_plain_classes(functions, workspace, java):
    package = compiled(workspace, Plain=PLAIN)
    for runtime in java:
        name = functions.create(
            package, runtime=runtime, handler="Plain::handle", MemorySize=256, Environment={"Variables": {"MINE": "ü"}}
        )
        expected = {
            "version": int(runtime[4:]), "environment": "ü", "execution": f"AWS_Lambda_{runtime}", "written": True, "task": True,
        }
        for call in (1, 2):
            answer = functions.call(name, {"text": "é"})
            assert 150 <= answer.pop("heap") <= 216
            assert answer == {"calls": call, **expected}, runtime
        assert "printed é" in functions.tail(name, {"text": "é"})


def start(platform, name, rung):
    """One call of an instance that is new and from this rung: its answer and its record."""
    said = json.loads(platform.cli("invoke", name, f"--cold={rung}", "--payload", "{}", "--json").stdout)
    return said["payload"], said["record"]


def test_a_jvm_that_waited_is_like_one_that_was_started(functions, platform, workspace, java):
    package = compiled(workspace, Plain=PLAIN)
    for runtime in java:
        name = functions.create(
            package, runtime=runtime, handler="Plain::handle", MemorySize=256, Environment={"Variables": {"MINE": "ü"}}
        )
        seen = []
        for rung in ("spawn", "spare", "spare"):
            answer, record = start(platform, name, rung)
            assert record["rung"] == rung, record["reason"]
            assert answer["calls"] == 1
            seen.append(answer)
        assert seen[0] == seen[1] == seen[2]
        assert "that waited for a function of 256 MB" in record["reason"], record["reason"]
        assert functions.call(name, {})["calls"] == 2


def test_what_a_jvm_reads_at_its_start_needs_a_start(functions, platform, workspace, java):
    environment = {"Variables": {"JAVA_TOOL_OPTIONS": "-Dmine=1"}}
    name = functions.create(compiled(workspace, Plain=PLAIN), runtime=java[-1], handler="Plain::handle", Environment=environment)
    _, record = start(platform, name, "spare")
    assert record["rung"] == "spawn" and "JAVA_TOOL_OPTIONS is read at" in record["reason"], record["reason"]


def waiting_jvms(platform):
    """The command lines of the platform's JVMs."""
    lines = []
    with contextlib.suppress(OSError):  # somebody ended meanwhile: it is looked again
        for pid in everything_below(platform.process.pid):
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode())
    return [line for line in lines if "dayfly.runtime.Main" in line and "rehearse" not in line]


def test_jvms_wait_only_while_there_are_java_functions(own, workspace):
    platform = own()
    if not any(r["language"] == "java" for r in platform.banner["runtimes"]):
        pytest.skip("no Java on this machine, or this build is without Java")
    functions = Functions(platform)
    major = min(int(r["version"].split(".")[0]) for r in platform.banner["runtimes"] if r["language"] == "java")
    package = compiled(workspace, Plain=PLAIN)
    assert waiting_jvms(platform) == []
    name = functions.create(package, runtime=f"java{major}", handler="Plain::handle", MemorySize=192)
    (line,) = until(lambda: waiting_jvms(platform), "a JVM that waits for the function's first call")
    assert "-Xmx152m" in line
    functions.client.update_function_configuration(FunctionName=name, MemorySize=256)
    until(lambda: [line for line in waiting_jvms(platform) if "-Xmx216m" in line], "one of its new size")
    until(lambda: not any("-Xmx152m" in line for line in waiting_jvms(platform)), "none of its old size")
    functions.client.delete_function(FunctionName=name)
    until(lambda: not waiting_jvms(platform), "no JVM")


def test_errors_have_awss_shape(functions, workspace, java):
    package = compiled(workspace, Plain=PLAIN)
    name = functions.create(package, runtime=java[-1], handler="Plain::fails")
    error = functions.failure(name, {})
    assert (error["errorMessage"], error["errorType"]) == ("no", "java.lang.IllegalStateException")
    assert error["stackTrace"][0] == "Plain.fails(Plain.java:20)"
    tail = functions.tail(name, {})
    assert "no: java.lang.IllegalStateException" in tail and "Caused by: java.io.IOException: inner" in tail

    missing = functions.failure(functions.create(package, runtime=java[-1], handler="Nowhere"))
    assert missing["errorMessage"] == "Class not found: Nowhere"
    large = functions.create(package, runtime=java[-1], handler="Plain::large")
    assert functions.failure(large, 7_000_000)["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(functions.call(large, 1_000_000)) == 1_000_000


def test_what_ends_a_jvm_ends_one_call(functions, workspace, java):
    package = compiled(workspace, Plain=PLAIN)
    hog = functions.create(package, runtime=java[-1], handler="Plain::hog", MemorySize=256)
    for _ in range(2):
        assert functions.failure(hog, "")["errorType"] == "java.lang.OutOfMemoryError"
    exits = functions.create(package, runtime=java[-1], handler="Plain::exits")
    assert functions.failure(exits, "")["errorType"] == "Runtime.ExitError"
    sleeps = functions.create(package, runtime=java[-1], handler="Plain::sleeps", Timeout=1)
    assert "Task timed out after 1.00 seconds" in functions.failure(sleeps, "")["errorMessage"]


def test_a_class_archive_is_made_once_and_used(own, workspace):
    platform = own()
    if not any(r["language"] == "java" for r in platform.banner["runtimes"]):
        pytest.skip("no Java on this machine, or this build is without Java")
    functions = Functions(platform)
    major = min(int(r["version"].split(".")[0]) for r in platform.banner["runtimes"] if r["language"] == "java")
    name = functions.create(compiled(workspace, Plain=PLAIN), runtime=f"java{major}", handler="Plain::handle")
    functions.call(name, {})
    made = until(lambda: list(platform.data.glob("runtime/*.jsa")), "a class archive")
    assert len(made) == 1 and made[0].stat().st_size > 1 << 20
    stamp = made[0].stat().st_mtime_ns
    platform.cli("invoke", name, "--cold", "--payload", "{}")
    platform.restart()
    platform.cli("invoke", name, "--payload", "{}")
    assert [path.stat().st_mtime_ns for path in platform.data.glob("runtime/*.jsa")] == [stamp]


def test_what_is_no_function_is_refused_with_a_way_out(platform, workspace):
    folder = workspace / uuid.uuid4().hex
    folder.mkdir()
    (folder / "x.jar").write_bytes(b"no zip")
    done = platform.cli("deploy", folder / "x.jar", check=False)
    assert done.returncode == 2 and "cannot be deployed" in done.stderr
    (folder / "y.jar").write_bytes(zipped_files({"a.txt": "text"}))
    done = platform.cli("deploy", folder / "y.jar", check=False)
    assert done.returncode == 2 and "no handler was found" in done.stderr
