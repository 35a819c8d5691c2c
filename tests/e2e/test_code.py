"""Where code comes from and goes to, and what is refused as code."""

import hashlib
import io
import struct
import urllib.request
import zipfile

import pytest

from support import packages
from support.objects import object_store
from support.waiting import wait_for
from support.world import World, refusal

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
NOT_UNZIPPED = "Could not unzip uploaded file. Please check your file, then try to upload again."


def test_the_download_link_gives_the_same_bytes(world):
    name = world.deploy(HELLO)
    code = world.client.get_function(FunctionName=name)["Code"]
    assert code["RepositoryType"] == "S3"
    with urllib.request.urlopen(code["Location"]) as answer:
        assert answer.read() == HELLO


def test_new_code_is_unpacked_before_it_is_invoked(make_server):
    world = World(make_server().start())
    first, refused, second = (packages.python(f"def handler(event, context):\n    return {n}\n") for n in range(3))
    name = world.deploy(first)
    wait_for(lambda: is_unpacked(world, first), "the code is unpacked")
    assert refusal(world.create, refused, name=name).code == "ResourceConflictException"
    world.client.update_function_code(FunctionName=name, ZipFile=second)
    wait_for(lambda: is_unpacked(world, second), "the new code is unpacked")
    assert not is_unpacked(world, refused)
    world.await_updated(name)
    assert world.invoke(name).payload == 2


def test_code_of_before_a_start_is_unpacked_when_it_is_invoked(make_server):
    server = make_server().start()
    old, new = (packages.python(f"def handler(event, context):\n    return {n}\n") for n in range(2))
    world = World(server)
    names = [world.deploy(old), world.deploy(old)]
    wait_for(lambda: is_unpacked(world, old), "the code is unpacked")
    server.stop()
    unpacked(world, old).rename(server.data_directory / "away")
    world = World(server.start())
    world.client.delete_function(FunctionName=names[0])
    world.deploy(new)
    wait_for(lambda: is_unpacked(world, new), "the new code is unpacked")
    assert not is_unpacked(world, old)
    assert world.invoke(names[1]).payload == 0


def is_unpacked(world, zip_bytes):
    return unpacked(world, zip_bytes).is_dir()


def unpacked(world, zip_bytes):
    """The folder of a package that is unpacked."""
    return world.server.data_directory / "code" / hashlib.sha256(zip_bytes).hexdigest()


def test_a_changed_download_link_is_refused(world):
    name = world.deploy(HELLO)
    location = world.client.get_function(FunctionName=name)["Code"]["Location"]
    for changed in [location[:-3] + "AAA", location.split("?")[0]]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(changed)
        refused.value.close()
        assert 400 <= refused.value.code < 500


def test_code_comes_from_an_object_store(make_server):
    with object_store({"bucket/code/hello 1.zip": HELLO}) as endpoint:
        world = World(make_server("--s3-endpoint", endpoint).start())
        name = world.deploy(HELLO, Code={"S3Bucket": "bucket", "S3Key": "code/hello 1.zip"})
        assert world.invoke(name).payload == "one"
        error = refusal(world.create, HELLO, Code={"S3Bucket": "bucket", "S3Key": "missing.zip"})
        assert (error.status, error.code) == (400, "InvalidParameterValueException")
        assert error.message == (
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
            "S3 Error Message: The specified key does not exist."
        )


def link():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return open('secret').read()\n")
        entry = zipfile.ZipInfo("secret")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return content.getvalue()


def zeros(megabytes, files):
    return packages.package({f"file{number}": bytes(megabytes << 20) for number in range(files)})


def many(count):
    """A zip that says it has `count` empty files, as small as one can be."""
    names = [b"%x" % number for number in range(count)]
    local = b"".join(struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, len(n), 0) + n for n in names)
    central, offset = [], 0
    for name in names:
        head = struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0, 0, 0, 0, 0, offset
        )
        central.append(head + name)
        offset += 30 + len(name)
    directory = b"".join(central)
    end = struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, min(count, 65535), min(count, 65535), len(directory), len(local), 0
    )
    if count < 65535:
        return local + directory + end
    at = len(local) + len(directory)
    wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(local))
    return local + directory + wide + struct.pack("<4sIQI", b"PK\6\7", 0, at, 1) + end


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"this is not a zip", NOT_UNZIPPED),
        (lambda: b"", None),
        (lambda: HELLO[: len(HELLO) // 2], NOT_UNZIPPED),
        (lambda: packages.package({"../../escape.py": "x"}), NOT_UNZIPPED),
        (lambda: packages.package({"/etc/escape.py": "x"}), NOT_UNZIPPED),
        (link, NOT_UNZIPPED),
        (lambda: zeros(40, 7), "Unzipped size must be smaller than 262144000 bytes"),
        (lambda: many(400_000), None),
    ],
    ids=["not a zip", "nothing", "truncated", "..", "absolute", "link out", "bomb", "many entries"],
)
def test_hostile_code_is_refused(world, make, message):
    name = world.name("hostile")
    error = refusal(world.create, make(), name=name)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert message in (None, error.message)
    assert refusal(world.client.get_function, FunctionName=name).status == 404
    assert world.invoke(world.deploy(HELLO)).payload == "one"


def test_hostile_new_code_leaves_the_old(world):
    name = world.deploy(HELLO)
    error = refusal(world.client.update_function_code, FunctionName=name, ZipFile=b"not a zip")
    assert (error.status, error.message) == (400, NOT_UNZIPPED)
    assert world.invoke(name).payload == "one"
    assert world.configuration(name)["LastUpdateStatus"] == "Successful"


def test_a_zip_above_the_limit_is_refused(world):
    error = refusal(world.create, bytes(52_428_801))
    assert (error.status, error.code) == (413, "RequestEntityTooLargeException")
    assert error.message == "Zipped size must be smaller than 52428800 bytes"
