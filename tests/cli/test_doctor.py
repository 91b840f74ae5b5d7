import json
from importlib.metadata import version


def test_the_doctor_names_the_version_of_torch(pcn):
    result = pcn("doctor")
    assert result.returncode in (0, 1)  # this machine may be short of memory
    line = next(line for line in result.stdout.decode().splitlines() if " torch " in line)
    assert line.split()[:3] == ["ok", "torch", version("torch")]


def test_the_doctor_speaks_json(pcn):
    result = pcn("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert checks["torch"]["ok"]
    assert checks["torch"]["found"].startswith(version("torch"))
    assert all(set(check) == {"name", "ok", "found"} for check in checks.values())
    assert result.returncode == (0 if all(check["ok"] for check in checks.values()) else 1)
