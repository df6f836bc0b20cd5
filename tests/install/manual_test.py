# SPDX-License-Identifier: Apache-2.0
"""Help, manual pages and shell completion: python3 manual_test.py MOESIM SOURCE_FOLDER.

The shells are run; zsh, fish and the linters of manual pages are left out where they are not installed.
"""

import functools
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

MOESIM, SOURCE = sys.argv[1:3]
PLACES = tempfile.TemporaryDirectory()
PLACE = pathlib.Path(PLACES.name)
ENVIRONMENT = {**os.environ, "MOESIM_DATA": str(pathlib.Path(SOURCE) / "scenarios"), "HOME": PLACES.name}


@functools.lru_cache(maxsize=None)
def moesim(*words, code=0):
    done = subprocess.run([MOESIM, *words], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == code, (words, done.stderr)
    return done.stdout if code == 0 else done.stderr


def commands(path=()):
    """Every command as a tuple of words, () for the program itself, from what --help lists."""
    found = [path]
    listed = moesim(*path, "--help").partition("\nCommands:\n")[2].partition("\n\n")[0]
    for line in listed.splitlines():
        if re.match(r"  \w", line):
            found += commands((*path, line.split()[0]))
    return found


COMMANDS = commands()


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class Help(unittest.TestCase):
    def test_no_line_is_longer_than_80_columns(self):
        for command in COMMANDS:
            for line in moesim(*command, "--help").splitlines():
                self.assertLessEqual(len(line), 80, (command, line))

    def test_a_command_line_goes_on_with_a_backslash(self):
        self.assertIn(
            "\nExample: moesim run scenarios/tinymoe_h200.toml --set capacity.policy=drop \\\n"
            "    --set capacity.factor=1.25 --out out/demo\n",
            moesim("run", "--help"),
        )


class ManualPages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = PLACE / "man1"
        moesim("man", "--out", str(cls.folder))

    def test_every_command_has_one_with_all_its_options(self):
        names = {"-".join(("moesim", *command)) + ".1" for command in COMMANDS}
        self.assertGreater(len(names), 20)
        self.assertEqual({page.name for page in self.folder.iterdir()}, names)
        for command in COMMANDS:
            page = moesim("man", *command)
            self.assertEqual((self.folder / ("-".join(("moesim", *command)) + ".1")).read_text(), page)
            for option in re.findall(r"^  (?:-\w,)?(--[\w-]+)", moesim(*command, "--help"), re.MULTILINE):
                self.assertIn("\\fB" + option.replace("-", "\\-") + "\\fR", page, command)

    def test_a_page_says_what_the_help_says(self):
        page = moesim("man", "run")
        self.assertIn('.TH MOESIM\\-RUN 1 "" "moesim 0.', page)
        self.assertIn("\\fB\\-\\-backend\\fR \\fBsim\\fR|\\fBgpu\\fR|\\fBboth\\fR\n", page)
        self.assertIn("moesim run scenarios/tinymoe_h200.toml \\-\\-set capacity.policy=drop \\e\n", page)
        self.assertIn("\\fB70\\fR\nour bug.\n", page)

    def test_a_command_that_is_not_there_is_named(self):
        self.assertEqual(moesim("man", "rum", code=2), 'error: man: moesim has no command "rum"; did you mean "run"?\n')
        self.assertEqual(moesim("man", "trace", "zzz", code=2), 'error: man: moesim trace has no command "zzz"\n')

    @needs("groff")
    def test_groff_has_nothing_to_say(self):
        pages = [str(page) for page in self.folder.iterdir()]
        told = subprocess.run(["groff", "-ww", "-man", "-Tutf8", *pages], capture_output=True, text=True, check=True)
        self.assertEqual(told.stderr, "")

    @needs("mandoc")
    def test_mandoc_has_nothing_to_warn_of(self):
        pages = [str(page) for page in self.folder.iterdir()]
        told = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True, check=False)
        warned = [line for line in told.stdout.splitlines() if "missing date" not in line]
        self.assertEqual(warned, [])


class Colour(unittest.TestCase):
    def errors_at_a_terminal(self, **more):
        master, end = pty.openpty()
        subprocess.run([MOESIM, "man", "rum"], stderr=end, env={**ENVIRONMENT, "TERM": "xterm", **more}, check=False)
        os.close(end)
        told = os.read(master, 4096).decode()
        os.close(master)
        return told

    def test_errors_are_red_at_a_terminal_alone(self):
        self.assertTrue(self.errors_at_a_terminal(NO_COLOR="").startswith("\x1b[1;31merror:\x1b[0m man: "))
        self.assertNotIn("\x1b", moesim("man", "rum", code=2))

    def test_whoever_refuses_colour_gets_none(self):
        self.assertTrue(self.errors_at_a_terminal(NO_COLOR="1").startswith("error: man: "))
        self.assertTrue(self.errors_at_a_terminal(NO_COLOR="", TERM="dumb").startswith("error: man: "))


# What a user has typed, and what is offered among others.
OFFERS = [
    ("moesim tra", {"trace"}),
    ("moesim trace ", {"info", "import", "fit", "generate", "learn"}),
    ("moesim trace import --kin", {"--kind"}),
    ("moesim trace import --kind ", {"auto", "ids", "counts"}),
    ("moesim run --backend ", {"sim", "gpu", "both"}),
    ("moesim run ", {"mine.toml"}),
    ("moesim run mine.toml --out re", {"results"}),
    ("moesim run mine.toml --set capacity.po", {"capacity.policy="}),
    ("moesim run mine.toml --set step.kin", {"step.kind="}),
    ("moesim completion ", {"bash", "zsh", "fish"}),
    ("moesim man ", {"run", "trace", "network-bench"}),
    ("moesim man trace ", {"info", "learn"}),
    ("moesim man --ou", {"--out"}),
]
# After the "=", of which shells make parts in their own way.
VALUES = [
    ("moesim run mine.toml --set capacity.policy=", {"drop", "spill", "none"}),
    ("moesim run mine.toml --set cluster.preset=h", {"h100-hgx", "h200-hgx"}),
]
NEVER = [("moesim run mine.toml --out re", "rest.txt"), ("moesim ", "--backend"), ("moesim run ", "mine.txt")]


class Completion:
    """Tests that every shell passes; `offers(line)` is the set of what it offers."""

    never = NEVER

    @classmethod
    def setUpClass(cls):
        cls.folder = PLACE / cls.__name__
        (cls.folder / "results").mkdir(parents=True)
        for name in ("mine.toml", "mine.txt", "rest.txt"):
            (cls.folder / name).write_text("")
        cls.script = cls.folder / f".{cls.shell}"
        cls.script.write_text(moesim("completion", cls.shell))

    def test_what_may_follow_is_offered(self):
        for line, expected in OFFERS:
            self.assertLessEqual(expected, self.offers(line), line)

    def test_values_of_keys_are_offered(self):
        for line, expected in VALUES:  # some shells offer "key=value", some the value alone
            self.assertLessEqual(expected, {word.rpartition("=")[2] for word in self.offers(line)}, line)

    def test_what_may_not_follow_is_not(self):
        for line, word in self.never:
            self.assertNotIn(word, self.offers(line), line)


class Bash(Completion, unittest.TestCase):
    shell = "bash"

    def offers(self, line):
        """As readline parts a line: at blanks and at "="."""
        words = re.findall(r"=|[^ =]+", line) + ([""] if line[-1] in " =" else [])
        words = words[:-1] if line.endswith("=") else words
        program = (
            "compopt() { :; }\n"
            'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _moesim; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", program, "bash", str(self.script), *words],
            capture_output=True, text=True, cwd=self.folder, check=True)
        self.assertEqual(done.stderr, "", line)
        return set(done.stdout.split())

    def test_a_value_behind_an_equals_sign_is_offered(self):
        self.assertEqual(self.offers("moesim run --backend=b"), {"both"})


@needs("fish")
class Fish(Completion, unittest.TestCase):
    shell = "fish"
    never = NEVER[:2]  # fish puts other files behind those with the right ending

    def offers(self, line):
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {self.script}; complete -C '{line}'"],
            capture_output=True, text=True, cwd=self.folder, env=ENVIRONMENT, check=True)
        self.assertEqual(done.stderr, "", line)
        return {offer.split("\t")[0].rstrip("/") for offer in done.stdout.splitlines()}


ZSH_SETUP = """PS1= LISTMAX=9999
autoload -Uz compinit && compinit -u -D
source %s
compadd() {
  local -a hits
  if [[ " $* " != *' '-[OAD]' '* ]]; then
    builtin compadd -O hits "$@"; (( $#hits )) && printf '<%%s>' $hits
  fi
  builtin compadd "$@"
}
told() { zle kill-whole-line; printf '<END>'; }
zle -N told; bindkey '^T' told; bindkey '^I' complete-word
printf '<%%s>' READY
"""


@needs("zsh")
class Zsh(Completion, unittest.TestCase):
    shell = "zsh"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.folder / ".setup").write_text(ZSH_SETUP % cls.script)
        cls.process, cls.terminal = pty.fork()
        if cls.process == 0:
            os.chdir(cls.folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**ENVIRONMENT, "TERM": "dumb"})
        os.write(cls.terminal, b"source .setup\n")
        cls.read_until("<READY>")

    @classmethod
    def tearDownClass(cls):
        os.close(cls.terminal)
        os.waitpid(cls.process, 0)

    @classmethod
    def read_until(cls, mark):
        text = ""
        limit = time.monotonic() + 60
        while mark not in text:
            ready = select.select([cls.terminal], [], [], max(0.0, limit - time.monotonic()))[0]
            assert ready, f"zsh does not come to {mark}: {text!r}"
            text += os.read(cls.terminal, 65536).decode()
        return text

    def offers(self, line):
        os.write(self.terminal, line.encode() + b"\t\x14")
        text = self.read_until("<END>")
        offered = set(re.findall(r"<([^<>]*)>", text)) - {"END"}
        return {word + "=" for word in offered} if "--set" in line and "=" not in line else offered


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
