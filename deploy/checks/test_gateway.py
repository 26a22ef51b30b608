"""What the chart relies on, asked of the real program."""

import resource
import signal
import subprocess
import unittest
import urllib.error
import urllib.request

from chart import CHART, rendered
from tools import CHORUS


class Gateway(unittest.TestCase):
    def test_it_takes_all_the_files_that_it_may(self):
        """A container of containerd 2 starts with 1,024, and nothing in a chart can say otherwise."""

        def few():
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, min(hard, 4096)))

        environment = {"CHORUS_LISTEN": "127.0.0.1:0"}
        with subprocess.Popen(
            [CHORUS], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=few
        ) as gateway:
            try:
                said = ""
                for line in gateway.stderr:
                    said += line
                    if " listening " in line:
                        break
                self.assertIn("fewer files may be open than limits.connections", said)
                self.assertEqual(resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE), (4096, 4096))
            finally:
                gateway.kill()

    def test_probes_and_metrics_are_where_the_chart_looks(self):
        container = rendered(CHART / "ci/least-values.yaml").container()
        # In development mode: without a Redis it is ready at once.
        environment = {
            "CHORUS_LISTEN": "127.0.0.1:0",
            "CHORUS_METRICS_LISTEN": "127.0.0.1:0",
            "CHORUS_LOG_FORMAT": "json",
            # What Kubernetes would add for a Service called `chorus`, if it were let.
            "CHORUS_PORT": "tcp://10.0.0.1:80",
        }
        with subprocess.Popen(
            [CHORUS], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as gateway:
            try:
                addresses = {}
                while len(addresses) < 2:
                    line = gateway.stderr.readline()
                    self.assertTrue(line, "the gateway ended before it listened")
                    found = json_line(line)
                    if found.get("message") in ("serving metrics", "listening"):
                        addresses[found["message"]] = found["addr"]
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    get = container[probe]["httpGet"]
                    self.assertEqual(get["port"], "metrics")
                    status, _ = ask(addresses["serving metrics"], get["path"])
                    self.assertEqual(status, 200, probe)
                _, metrics = ask(addresses["serving metrics"], "/metrics")
                self.assertIn("\nchorus_connections 0\n", metrics)
                # An Ingress leads to this one.
                status, _ = ask(addresses["listening"], "/metrics")
                self.assertEqual(status, 404)
                gateway.send_signal(signal.SIGTERM)
                self.assertEqual(gateway.wait(timeout=30), 0)
            finally:
                gateway.kill()


def json_line(line):
    import json

    record = json.loads(line)
    return {**record, **record.get("fields", {})}


def ask(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


if __name__ == "__main__":
    unittest.main()
