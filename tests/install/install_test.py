# SPDX-License-Identifier: Apache-2.0
"""cmake --install and the Debian package: python3 install_test.py CMAKE BUILD_FOLDER SOURCE_FOLDER CXX CXX_LAUNCHER."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

CMAKE, BUILD, SOURCE, CXX, LAUNCHER = [*sys.argv[1:], ""][:5]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("MOESIM_DATA", "DESTDIR")}


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=ENVIRONMENT, check=False, **more)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(dir=BUILD)
        cls.prefix = pathlib.Path(cls.place.name) / "prefix"
        run(CMAKE, "--install", BUILD, "--prefix", cls.prefix)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def test_the_program_finds_its_own_presets_and_traces(self):
        program = self.prefix / "bin/moesim"
        scenario = self.prefix / "share/moesim/scenarios/tinymoe_h200.toml"
        checked = json.loads(run(program, "check", scenario, "--json", cwd="/"))
        inputs = [entry["path"] for entry in checked["inputs"]]
        self.assertGreater(len(inputs), 2)
        for path in inputs:
            self.assertTrue(path.startswith(str(self.prefix / "share/moesim/scenarios")), path)
        report = json.loads(run(program, "run", scenario, "--set", "batch.steps=1", "--json", cwd="/"))
        self.assertEqual(len(report["steps"]), 1)

    def test_every_header_that_a_header_includes_is_there(self):
        folder = self.prefix / "include/moesim"
        headers = list(folder.rglob("*.hpp"))
        self.assertGreater(len(headers), 100)
        for header in headers:
            for included in re.findall(r'^#include "(.*)"', header.read_text(), re.MULTILINE):
                self.assertTrue((folder / included).is_file(), f"{header}: {included}")

    def test_pages_completions_guides_and_licence_are_there(self):
        for path in (
            "share/man/man1/moesim.1.gz",
            "share/man/man1/moesim-trace-import.1.gz",
            "share/bash-completion/completions/moesim",
            "share/zsh/vendor-completions/_moesim",
            "share/fish/vendor_completions.d/moesim.fish",
            "share/doc/moesim/LICENSE",
            "share/doc/moesim/docs/scenario.md",
        ):
            self.assertGreater((self.prefix / path).stat().st_size, 0, path)

    def test_the_example_project_finds_builds_and_runs(self):
        folder = pathlib.Path(self.place.name) / "example"
        run(CMAKE, "-S", pathlib.Path(SOURCE) / "examples/find_package", "-B", folder, f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_CXX_COMPILER={CXX}", f"-DCMAKE_CXX_COMPILER_LAUNCHER={LAUNCHER}")
        run(CMAKE, "--build", folder)
        self.assertEqual(run(folder / "all_to_all"), "992 flows, 6677.5 MB: 6656.8 us; no schedule can beat 6655.8 us\n")


@unittest.skipUnless(shutil.which("dpkg-shlibdeps"), "dpkg-dev is not installed")
class DebianPackage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(dir=BUILD)
        cpack = pathlib.Path(CMAKE).with_name("cpack")
        run(cpack, "-G", "DEB", "-B", cls.place.name, cwd=BUILD)
        [cls.package] = pathlib.Path(cls.place.name).glob("moesim_0.1.0_*.deb")

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def test_it_depends_on_the_libraries_that_the_program_loads(self):
        depends = run("dpkg-deb", "-f", self.package, "Depends")
        for name in ("libc6", "libstdc++6", "libfmt9", "libtbb12", "libsqlite3-0", "coinor-libclp1"):
            self.assertRegex(depends, rf"(^|, ){re.escape(name)}\b")
        self.assertNotIn("-dev", depends)
        self.assertEqual(run("dpkg-deb", "-f", self.package, "Section"), "science\n")

    def test_it_holds_files_of_root_below_usr(self):
        lines = run("dpkg-deb", "-c", self.package).splitlines()
        names = {line.split()[-1] for line in lines}
        for path in ("bin/moesim", "share/man/man1/moesim-run.1.gz", "share/moesim/scenarios/tinymoe_h200.toml",
                     "share/doc/moesim/copyright", "share/doc/moesim/changelog.gz"):
            self.assertIn(f"./usr/{path}", names)
        for line in lines:
            self.assertRegex(line, r"^[d-]\S+ root/root .* \./(usr/.*)?$")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
