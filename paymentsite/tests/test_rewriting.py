"""Test modules are rewritten once for all processes of a run, as pytest itself would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from paymentsite.launcher.state import PROJECT

MODULE = "def test_two():\n    two = 1\n    assert two == 2\n"


def test_a_module_rewritten_before_the_run_is_the_one_that_pytest_loads(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(MODULE)
    (tmp_path / "test_broken.py").write_text("def")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = .\n")
    (tmp_path / "conftest.py").write_text(
        "from paymentsite.tests.fixtures import rewriting\n"
        "def pytest_configure(config):\n"
        "    rewriting.rewrite_once(config)\n"
        "    print('kept', [p.name for p in rewriting.modules_to_rewrite(config.rootpath)"
        " if rewriting.is_kept(p)])\n"
        "    rewrite = rewriting.rewrite._rewrite_test\n"
        "    def refuse(path, config):\n"
        "        assert path.parent != config.rootpath, 'it is rewritten again'\n"
        "        return rewrite(path, config)\n"
        "    rewriting.rewrite._rewrite_test = refuse\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:django", "test_two.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
    )
    assert "kept ['conftest.py', 'test_two.py']" in done.stdout, done.stdout + done.stderr
    assert "assert 1 == 2" in done.stdout
