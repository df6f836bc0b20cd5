# SPDX-License-Identifier: Apache-2.0
"""The report pages in a real browser: python3 page_test.py MOESIM CHROMIUM SOURCE_FOLDER.

Skipped (exit 77) without Chromium or in a build without the page. MOESIM_SCREENSHOTS=DIR keeps what was seen.
"""

import concurrent.futures
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

from browser import Browser, Page

MOESIM, CHROMIUM, SOURCE = sys.argv[1:4]
WIDE = (1280, 900)
PHONE = (390, 844)

SCENARIO = str(pathlib.Path(SOURCE) / "scenarios/tinymoe_h200.toml")
SERVING = str(pathlib.Path(SOURCE) / "scenarios/serve_v3_h100.toml")
REPORTS = {
    "run": ["run", SCENARIO, "--set", "routing.trace=tinymoe-unbalanced", "--set", "capacity.policy=drop", "--set", "capacity.factor=1.5"],
    "capacity": ["capacity", SCENARIO, "--factors", "1,1.5,2", "--policies", "drop,spill", "--set", "batch.steps=2"],
    "place": ["place", SCENARIO, "--set", "batch.steps=4", "--placements", "contiguous,eplb"],
    "compare": ["compare", SCENARIO, "--set-b", "capacity.policy=drop", "--set-b", "capacity.factor=1.25", "--seeds", "2"],
    "serving": ["run", SERVING, "--set", "requests.count=100", "--set", "requests.warm_up=1 s", "--set", "requests.interval=1 s", "--set", "requests.check_steps=2"],
    "whole": ["run", str(pathlib.Path(SOURCE) / "scenarios/v3_decode_h200.toml"), "--set", "batch.steps=2", "--set", "price.preset=example"],
}
PLAN = """scenario = "%(s)s"
[set]
step.kind = "decode"
batch.context_tokens = 1000
batch.steps = 1
price.preset = "example"
[grid]
parallel.ep = [8, 16, 24]
batch.tokens_per_rank = [16, 64, 256]
[limits]
tpot = "2 ms"
[search]
method = "exhaustive"
"""
STUDY = """scenario = "%(s)s"
[set]
batch.steps = 1
capacity.policy = "drop"
[grid]
capacity.factor = [1.0, 1.5, 2.0]
cluster.nic.bandwidth = ["25 GB/s", "50 GB/s"]
parallel.ep = [32, 5]
"""
CASES = """case,tier,scenario,set,quantity,measured,unit,source
dispatch,guess,%(s)s,batch.steps=1,steps.0.layers.0.phases.dispatch.max_s,100,us,made up
experts,guess,%(s)s,batch.steps=1,steps.0.layers.0.phases.experts.max_s,150,us,made up
combine,other guess,%(s)s,batch.steps=1,steps.0.layers.0.phases.combine.max_s,0.2,ms,made up
"""

# Texts of drawings that cover each other by more than a pixel each way.
OVERLAPS = """(() => { const found = [];
for (const svg of document.querySelectorAll('.chart svg')) {
  const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent && getComputedStyle(t).opacity > 0 && t.getAttribute('opacity') !== '0')
    .map(t => [t.textContent, t.getBoundingClientRect()]).filter(([, r]) => r.width > 0);
  for (let i = 0; i < texts.length; ++i) for (let j = i + 1; j < texts.length; ++j) {
    const [a, b] = [texts[i][1], texts[j][1]];
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
      found.push(texts[i][0] + ' | ' + texts[j][0]);
  } }
return found; })()"""

# Drawings cut off at their frame, and charts with nothing in them.
CUT = """[...document.querySelectorAll('.chart svg')].flatMap(svg => { const f = svg.getBoundingClientRect();
return [...svg.querySelectorAll('text')].filter(t => { const r = t.getBoundingClientRect();
  return r.width > 0 && (r.left < f.left - 2 || r.right > f.right + 2 || r.top < f.top - 2 || r.bottom > f.bottom + 2); }).map(t => t.textContent); })"""
EMPTY = """[...document.querySelectorAll('.chart')].filter(chart => { const svg = chart.querySelector('svg'), canvas = chart.querySelector('canvas');
if (svg) return svg.querySelectorAll('.mark-rect path, .mark-symbol path, .mark-line path, .mark-rule line').length === 0;
if (!canvas) return true;
const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] > 0) seen.add(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]);
return seen.size < 8; }).map(chart => chart.getAttribute('aria-label'))"""


def with_document(html, report):
    """The page of another report: what `run --backend` writes on a machine with GPUs."""
    start = html.index('id="document">') + len('id="document">')
    document = json.dumps({"report": report, "extra": None}).replace("<", "\\u003c")
    return html[:start] + document + html[html.index("</script>", start):]


def measured(simulated):
    """Reports of `--backend gpu` and `both` with the fields of docs/report.md, the measured times a tenth above the simulated."""
    def up(phase):
        return {key: 1.1 * value for key, value in phase.items()}

    layers = simulated["summary"]["layers"]
    phases = {name: {of: sum(layer["phases"][name][of] for layer in layers) for of in ["mean_s", "max_s"]} for name in layers[0]["phases"]}
    whole = {name: name in ("gate", "experts") for name in phases}
    gpu = {key: simulated[key] for key in ["moesim_version", "scenario", "seed", "inputs", "resolved_scenario"]}
    gpu.update(format="moesim-gpu-report", device="NVIDIA H200", gpus_attached=1, ranks=32, network_measured=False, not_measured=["step time"], notes=["one GPU"],
               summary={"steps": 1, "phases": {name: {**up(phase), "whole": whole[name]} for name, phase in phases.items()}},
               steps=[{"step": 0, "layers": [{"layer": layer["layer"], "phases": {name: up(phase) for name, phase in layer["phases"].items()},
                                              "stages": {"gate": up(layer["phases"]["gate"]), "gate_up": up(layer["phases"]["experts"])}} for layer in layers]}])

    def row(name, phase):
        error = -1 / 11 if whole[name] else None
        return {"simulated": phase, "measured": up(phase), "whole": whole[name], "mean_error_ratio": error, "max_error_ratio": error}

    both = {"format": "moesim-comparison", "phases": {name: row(name, phase) for name, phase in phases.items()}, "simulated": simulated, "measured": gpu,
            "layers": [{"layer": layer["layer"], "phases": {name: row(name, phase) for name, phase in layer["phases"].items()}} for layer in layers]}
    return {"gpu": gpu, "both": both}


def readable_time(seconds):
    """As sim/report/table.cpp writes times."""
    factor, unit = [s for s in [(1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s")] if s[0] == 1e-9 or seconds / s[0] >= 0.9995][-1]
    value = seconds / factor
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def colours(png):
    """How many different bytes the picture holds, filters undone on nothing: enough to tell a drawing from a blank."""
    at, packed = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        packed += png[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return len(set(zlib.decompress(packed)[::13]))


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(cls.folder.name)
        cls.pages = {}
        inputs = {"cases.csv": CASES, "plan.toml": PLAN, "study.toml": STUDY}
        for name, text in inputs.items():
            (root / name).write_text(text % {"s": SCENARIO})
        more = {"validate": ["validate", str(root / "cases.csv")], "plan": ["plan", str(root / "plan.toml")],
                "results": ["sweep", str(root / "study.toml"), "--store", str(root / "s.sqlite")]}

        def make(name, arguments):
            subprocess.run([MOESIM, *arguments, "--quiet", "--out", str(root / name)], check=True, stdout=subprocess.DEVNULL)
            return name, root / name / "report.html"

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            cls.pages = dict(pool.map(lambda item: make(*item), {**REPORTS, **more}.items()))
        for name, report in measured(json.loads((root / "run/report.json").read_text())).items():
            cls.pages[name] = root / (name + ".html")
            cls.pages[name].write_text(with_document(cls.pages["run"].read_text(), report))
        cls.browser = Browser(CHROMIUM)
        cls.tabs = {}

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def open(self, name, size):
        """A tab of that page. Wide ones stay open: loading takes longer than most tests, which leave a page as it was."""
        if size == WIDE and name in self.tabs:
            page = self.tabs[name]
            page.call("Page.bringToFront")
            return page
        page = Page(self.browser, self.pages[name], *size)
        if size == WIDE:
            self.tabs[name] = page
        else:
            self.addCleanup(page.close)
        page.wait_for("document.documentElement?.dataset.drawn > 0")
        return page

    def keep(self, name, picture):
        if "MOESIM_SCREENSHOTS" in os.environ:
            (pathlib.Path(os.environ["MOESIM_SCREENSHOTS"]) / (name + ".png")).write_bytes(picture)

    def look_at(self, page, name):
        picture = page.screenshot(whole=True)
        self.keep(name, picture)
        self.assertGreater(colours(picture), 60, name)
        self.assertEqual(page.value(OVERLAPS), [], name)
        self.assertEqual(page.value(CUT), [], name)
        self.assertEqual(page.value(EMPTY), [], name)
        self.assertEqual(page.complaints(), [], name)

    def test_every_page_draws_all_its_charts_wide_and_on_a_phone_without_complaints(self):
        for name in self.pages:
            for screen, size in [("wide", WIDE), ("phone", PHONE)]:
                with self.subTest(page=name, screen=screen):
                    page = self.open(name, size)
                    self.look_at(page, name + "-" + screen)
                    self.assertLessEqual(page.value("document.documentElement.scrollWidth"), size[0])
                    charts = page.value("document.querySelectorAll('.chart').length")
                    self.assertEqual(page.value("document.querySelectorAll('.chart svg, .chart canvas').length"), charts)
                    self.assertGreaterEqual(charts, 1 if name in ("whole", "results", "gpu") else 2)

    def test_print_fits_a_sheet_narrower_than_the_window(self):
        for name in self.pages:
            with self.subTest(page=name):
                page = self.open(name, WIDE)
                page.call("Emulation.setEmulatedMedia", media="print")
                page.value("document.body.style.maxWidth = '700px'")  # no resize, so nothing is drawn for it, as when printing
                wide = page.value("[...document.querySelectorAll('.chart svg, .chart canvas')].filter(d => d.getBoundingClientRect().right > document.body.getBoundingClientRect().right + 1).length")
                page.value("document.body.style.maxWidth = ''")
                page.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": "light"}])
                self.assertEqual(wide, 0, name)

    def test_the_theme_switches_page_and_charts(self):
        page = self.open("run", WIDE)
        before = page.value("[getComputedStyle(document.documentElement).backgroundColor, document.querySelector('.chart svg text').getAttribute('fill')]")
        page.value("document.getElementById('theme').click()")
        page.wait_for("document.querySelector('.chart svg text').getAttribute('fill') !== " + json.dumps(before[1]))
        page.value("drawAll()")
        self.assertEqual(page.value("document.documentElement.dataset.theme"), "dark")
        self.assertNotEqual(page.value("getComputedStyle(document.documentElement).backgroundColor"), before[0])
        self.look_at(page, "run-dark")
        page.value("document.getElementById('theme').click()")
        page.wait_for("document.querySelector('.chart svg text').getAttribute('fill') === " + json.dumps(before[1]))

    def test_a_mark_under_the_mouse_says_what_it_is(self):
        page = self.open("run", WIDE)
        page.value("document.querySelector('.chart').scrollIntoView({block: 'center'})")
        box = page.value("(() => { const r = document.querySelector('.chart .mark-rect path').getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })()")
        page.move_mouse(box[0] - 1, box[1])
        page.move_mouse(*box)
        page.wait_for("!!document.querySelector('#vg-tooltip-element.visible')")
        self.assertIn("time, share", page.value("document.getElementById('vg-tooltip-element').innerText"))
        self.keep("run-tooltip", page.screenshot())

    def test_the_figures_are_those_of_the_json(self):
        page = self.open("run", WIDE)
        report = json.loads((self.pages["run"].parent / "report.json").read_text())
        cards = page.value("Object.fromEntries([...document.querySelectorAll('.cards li')].map(li => [li.children[0].innerText, li.children[1].innerText]))")
        summary = report["summary"]
        self.assertEqual(cards["step, mean"], readable_time(summary["step_s"]["mean"]))
        self.assertEqual(cards["step, P99"], readable_time(summary["step_s"]["p99"]))
        self.assertEqual(cards["dropped"], f"{summary['dropped_ratio'] * 100:.2f} %")
        page.value("document.querySelectorAll('figure details').forEach(d => { d.open = true; })")
        page.wait_for("document.querySelectorAll('figure details table').length === document.querySelectorAll('figure details').length")
        tables = page.value("[...document.querySelectorAll('figure details table')].map(t => [...t.rows].map(r => [...r.cells].map(c => c.innerText)))")
        parts = {row[0].replace(" ", "_") + "_s": row[1] for row in tables[0][1:]}
        self.assertEqual(parts, {key: readable_time(value) for key, value in summary["critical_path"].items() if value > 0})
        self.assertEqual([row[1] for row in tables[1][1:]], [readable_time(layer["makespan_s"]) for layer in summary["layers"]])
        self.keep("run-tables", page.screenshot(whole=True))

    def cards(self, page):
        return page.value("Object.fromEntries([...document.querySelectorAll('.cards li')].map(li => [li.children[0].innerText, li.children[1].innerText]))")

    def table(self, page, name):
        return page.value("[...document.querySelector('table[aria-label=' + JSON.stringify(" + json.dumps(name) + ") + ']').rows].map(r => [...r.cells].map(c => c.innerText))")

    def test_links_over_time_never_pass_their_capacity(self):
        page = self.open("run", WIDE)
        over = page.value("JSON.parse(document.getElementById('document').textContent).extra.over_time")
        self.assertTrue(over["is_exact"])
        values = [value for line in over["lines"] for value in line["busy_ratio"]]
        self.assertLessEqual(max(values), 1.0001)
        self.assertGreater(max(values), 0.5)

    def test_the_times_of_requests_are_those_of_the_json(self):
        page = self.open("serving", WIDE)
        summary = json.loads((self.pages["serving"].parent / "report.json").read_text())["summary"]
        for row, key in zip(self.table(page, "Times of requests")[1:], ["ttft_s", "tpot_s", "latency_s", "queue_s"]):
            self.assertEqual(row[1:], [readable_time(summary[key][of]) for of in ["mean", "p50", "p95", "p99", "max"]])
        self.assertEqual(self.cards(page)["TTFT, P99"], readable_time(summary["ttft_s"]["p99"]))
        extra = page.value("JSON.parse(document.getElementById('document').textContent).extra")
        self.assertEqual(extra["quantiles"]["ttft_s"][-1], summary["ttft_s"]["max"])
        self.assertEqual(sum(extra["series"]["arrivals"]), summary["requests"])

    def test_what_a_whole_step_costs_is_that_of_the_json(self):
        page = self.open("whole", WIDE)
        report = json.loads((self.pages["whole"].parent / "report.json").read_text())
        cards = self.cards(page)
        self.assertEqual(cards["exposed communication"], readable_time(report["summary"]["exposed_communication_s"]))
        self.assertEqual(cards["MFU"], f"{report['summary']['mfu_ratio'] * 100:.2f} %")
        for how, hourly, a_gpu, _ in self.table(page, "Cost")[1:]:
            cost = report["money"][how + "_usd_per_h"]
            self.assertAlmostEqual(float(hourly.split()[0]), cost, delta=0.005 * cost)
            self.assertAlmostEqual(float(a_gpu.split()[0]), cost / report["money"]["gpus"], delta=0.005 * cost)

    def test_parts_of_a_whole_step_have_colours_of_their_own(self):
        page = self.open("whole", WIDE)
        parts = [part.removesuffix("_s") for part in json.loads((self.pages["whole"].parent / "report.json").read_text())["summary"]["critical_path"]]
        parts += ["pipeline", "bubble", "gradients", "weights", "optimiser"]  # of a training step
        self.assertEqual(page.value("new Set(colourScale(" + json.dumps(parts) + ").range).size"), len(set(parts)))

    def test_a_plan_shows_its_choice_and_draws_other_axes(self):
        page = self.open("plan", WIDE)
        plan = json.loads((self.pages["plan"].parent / "plan.json").read_text())
        choice = plan["configurations"][plan["choice"]]
        self.assertEqual(self.cards(page)["latency"], readable_time(choice["score"]["latency_s"]))
        self.assertEqual(len(self.table(page, "Configurations")) - 1, len(plan["configurations"]))
        before = page.value("document.querySelector('#front svg').outerHTML")
        page.value("(() => { const s = document.querySelector('select[aria-label=across]'); s.value = 'gpus'; s.dispatchEvent(new Event('change')); })()")
        page.wait_for("document.querySelector('#front svg').outerHTML !== " + json.dumps(before))
        self.assertIn("gpus", page.value("document.querySelector('#front svg').textContent"))

    def test_points_of_a_study_sort_and_filter(self):
        page = self.open("results", WIDE)
        points = json.loads((self.pages["results"].parent / "results.json").read_text())["points"]
        self.assertEqual(len(self.table(page, "Points")) - 1, len(points))
        page.value("(() => { const s = document.querySelector('select[aria-label=\"cluster.nic.bandwidth\"]'); s.value = '25 GB/s'; s.dispatchEvent(new Event('change')); })()")
        shown = self.table(page, "Points")
        self.assertEqual(len(shown) - 1, len(points) / 2)
        column = shown[0].index("step_s.mean")
        page.value("document.querySelectorAll('table[aria-label=Points] th button')[" + str(column) + "].click()")
        times = [point["summary.step_s.mean"] for point in points if point["cluster.nic.bandwidth"] == "25 GB/s" and point["state"] == "done"]
        sorted_times = [row[column] for row in self.table(page, "Points")[1:] if row[column] != "\u2013"]
        self.assertEqual(sorted_times, [readable_time(time) for time in sorted(times)])
        self.assertEqual(page.value("document.querySelectorAll('table[aria-label=Points] th')[" + str(column) + "].getAttribute('aria-sort')"), "ascending")

    def test_keyboard_and_screen_reader_find_their_way(self):
        page = self.open("run", WIDE)
        self.assertEqual(page.value("[...document.querySelectorAll('.chart')].filter(c => c.getAttribute('role') !== 'img' || !c.getAttribute('aria-label')).length"), 0)
        self.assertEqual(page.value("[...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"), 0)
        reached = page.value("[...document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"]')].map(e => e.tagName)")
        for kind in ["A", "BUTTON", "SUMMARY", "DIV"]:
            self.assertIn(kind, reached)


if __name__ == "__main__":
    if not CHROMIUM or "NOTFOUND" in CHROMIUM:
        print("skipped: no chromium")
        sys.exit(77)
    if "report page: yes" not in subprocess.run([MOESIM, "--version"], check=True, capture_output=True, text=True).stdout:
        print("skipped: a build without the report page")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
