"""`cryodeco selftest`: a verdict a line, an exit code, nothing left behind; and it can fail."""
import re

from conftest import cryodeco


def test_a_sound_installation_is_called_sound(tmp_path):
    r = cryodeco("selftest", "--cache_dir", tmp_path)
    lines = r.stdout.splitlines()
    assert lines[-1] == "sound" and [line.split()[1] for line in lines[:-1] if line.startswith("ok")] == [
        "program", "device", "numbers", "threads", "run", "scratch", "speed"], r.stdout
    assert float(re.search(r"truth (\S+)", r.stdout).group(1)) > 0.8 and not list(tmp_path.iterdir())


def test_what_is_not_sound_is_said_and_is_an_exit_code(tmp_path):
    r = cryodeco("selftest", "--cache_dir", tmp_path / "not there", check=False)
    assert r.returncode == 2 and "not there" in r.stderr
    r = cryodeco("selftest", "--cache_dir", tmp_path, "--device", "cuda:99", check=False)
    assert r.returncode == 1 and "FAILED device" in r.stdout and not list(tmp_path.iterdir())
