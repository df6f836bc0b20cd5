# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium over its DevTools pipe: pages opened from disk, with what they complain of."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


class Browser:
    """One browser; `page` opens one tab after the other."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp()
        to_browser, self.to_browser = os.pipe()
        self.from_browser, from_browser = os.pipe()
        # The browser reads commands from descriptor 3 and answers on 4.
        safe = [os.dup2(to_browser, 60, inheritable=True), os.dup2(from_browser, 61, inheritable=True)]

        def join():
            os.dup2(60, 3)
            os.dup2(61, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
             "--user-data-dir=" + self.profile, "--remote-debugging-pipe", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=join)
        for descriptor in [to_browser, from_browser, *safe]:
            os.close(descriptor)
        self.number = 0
        self.answers = {}
        self.events = []
        self.rest = b""

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, session=None, **parameters):
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 30
        while number not in self.answers:
            self.read(until - time.monotonic())
        answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(method + ": " + answer["error"]["message"])
        return answer["result"]

    def read(self, seconds):
        if not select.select([self.from_browser], [], [], max(0.0, seconds))[0]:
            raise TimeoutError("the browser does not answer")
        data = os.read(self.from_browser, 1 << 20)
        if not data:
            raise RuntimeError("the browser is gone")
        *messages, self.rest = (self.rest + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)


class Page:
    """A tab with a file in it."""

    def __init__(self, browser, path, width, height):
        self.browser = browser
        browser.events.clear()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        self.call("Page.navigate", url="file://" + str(path))

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:600])
        return answer["result"].get("value")

    def wait_for(self, expression, seconds=60):
        until = time.monotonic() + seconds
        while not self.value(expression):
            if time.monotonic() > until:
                raise TimeoutError(expression + " stays false; complaints: " + str(self.complaints()))
            time.sleep(0.05)

    def complaints(self):
        """Errors and warnings of the console, exceptions, and anything fetched but the file itself."""
        found = []
        for event in self.browser.events:
            what, of = event["method"], event["params"]
            if what == "Runtime.exceptionThrown":
                found.append(of["exceptionDetails"].get("exception", {}).get("description", "exception"))
            elif what == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
                found.append(" ".join(str(argument.get("value")) for argument in of["args"]))
            elif what == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
                found.append(of["entry"]["text"])
            elif what == "Network.requestWillBeSent" and not of["request"]["url"].startswith(("file:", "data:", "blob:")):
                found.append("fetches " + of["request"]["url"])
        return found

    def move_mouse(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, whole=False):
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])
